// The page's few words for the DOM. Text goes in as text only, so nothing that a server says becomes markup.

export const $ = (selector) => document.querySelector(selector);

/** The elements under `root` that carry a `data-field`, by its name. */
export const fieldsOf = (root) =>
  Object.fromEntries([...root.querySelectorAll('[data-field]')].map((element) => [element.dataset.field, element]));

/** A copy of what the template with this id holds, and its fields. */
export function fromTemplate(id) {
  const element = document.getElementById(id).content.firstElementChild.cloneNode(true);
  return [element, fieldsOf(element)];
}

/** Has a screen reader say it, once. */
export function announce(text) {
  const announcer = $('#announcer');
  if (announcer.textContent !== text) announcer.textContent = text;
}

/** Shows a problem, or with `null` hides it again. */
export function showProblem(element, text) {
  element.textContent = text ?? '';
  element.hidden = !text;
}
