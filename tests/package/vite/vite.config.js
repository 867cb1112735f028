// As Vite comes, but for its own helper scripts: they are not the package's.

export default {
  base: './',
  build: { modulePreload: { polyfill: false }, reportCompressedSize: false },
  worker: { format: 'es' },
};
