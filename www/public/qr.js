// A QR code as an SVG element: sharp at every size, and within a CSP that allows neither data: images nor inline styles.

import { correction, generate } from '/vendor/lean-qr/nano.mjs';

const SVG = 'http://www.w3.org/2000/svg';
const QUIET_ZONE = 4; // modules, ISO/IEC 18004

/** Draws `text`, dark on white whatever the colour scheme: many readers do not take the inverse. */
export function drawQr(text, label) {
  const code = generate(text, { minCorrectionLevel: correction.M });
  const side = code.size + 2 * QUIET_ZONE;
  let dark = '';
  for (let y = 0; y < code.size; y++) {
    for (let x = 0; x < code.size; x++) {
      if (code.get(x, y)) dark += `M${x + QUIET_ZONE} ${y + QUIET_ZONE}h1v1h-1z`;
    }
  }
  const svg = element('svg', { viewBox: `0 0 ${side} ${side}`, role: 'img', 'aria-label': label, 'shape-rendering': 'crispEdges' });
  svg.append(element('rect', { width: side, height: side, fill: '#fff' }), element('path', { d: dark, fill: '#000' }));
  return svg;
}

function element(name, attributes) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}
