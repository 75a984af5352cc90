/// <reference types="vitest/config" />
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

const OUT = "../src/holdfast/_ui";
const SERVER = process.env["HOLDFAST_URL"] ?? "http://127.0.0.1:8288";

/** Lays the compressed forms of each file beside it: the server only hands them on. */
function compressed(): Plugin {
  return {
    name: "compressed",
    apply: "build",
    closeBundle() {
      const folder = join(OUT, "assets");
      for (const name of readdirSync(folder)) {
        if (!/\.(js|css|svg)$/.test(name)) continue;
        const content = readFileSync(join(folder, name));
        writeFileSync(join(folder, `${name}.gz`), gzipSync(content, { level: 9 }));
        const options = { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } };
        writeFileSync(join(folder, `${name}.br`), brotliCompressSync(content, options));
      }
    },
  };
}

export default defineConfig({
  // Preact is a tenth of React's size (docs/adr/0017-web-ui.md).
  resolve: {
    alias: {
      "react-dom/client": "preact/compat/client",
      "react-dom": "preact/compat",
      "react/jsx-runtime": "preact/jsx-runtime",
      react: "preact/compat",
    },
  },
  plugins: [compressed()],
  build: {
    outDir: OUT,
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    rollupOptions: {
      // Few files: what every screen needs in one, what several need in another.
      output: {
        codeSplitting: {
          groups: [
            { name: "vendor", test: /node_modules\/(preact|@tanstack|use-sync)/ },
            { name: "common", test: /src\/(data|logic|shell|parts)\/(?!palette|Dialog|PickMenu|SettingsMenu|Help|Editor|CodeEditor|Json|Tabs)/, minShareCount: 3 },
          ],
        },
      },
      // `"use client"` in libraries, and what Preact has no need for.
      onwarn: (warning, warn) => {
        if (warning.code !== "MODULE_LEVEL_DIRECTIVE" && warning.code !== "IMPORT_IS_UNDEFINED") warn(warning);
      },
    },
  },
  server: {
    proxy: {
      "^/(v0|v1|v2|e|dev|invoke|fn|login|logout|docs|health)(/|$)": { target: SERVER, ws: true, changeOrigin: true },
    },
  },
  test: { include: ["src/**/*.test.ts"] },
});
