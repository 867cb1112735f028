// As Vite comes, but for its own helper scripts: they are not the package's. Three pages: one that only pays, one that only
// makes order numbers, and one that does both, which the tests drive.

export default {
  base: './',
  build: {
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rollupOptions: { input: ['index', 'pay', 'number'].map((page) => new URL(`${page}.html`, import.meta.url).pathname) },
  },
  worker: { format: 'es' },
};
