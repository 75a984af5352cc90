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

/** Lets the page run `src/early.ts` as soon as it is there: before the styles, and while the libraries still come. */
function first(): Plugin {
  return {
    name: "first",
    apply: "build",
    transformIndexHtml: {
      order: "post",
      handler: (html) =>
        html.replace(/\s*<link rel="modulepreload" crossorigin href="(\/assets\/early-[^"]+)">/, "").replace(
          '<script type="module" crossorigin',
          `<script type="module" async crossorigin src="${/\/assets\/early-[^"]+/.exec(html)?.[0]}"></script>\n    $&`,
        ),
    },
  };
}

/** Writes down which files each address needs: the page names them, and nobody waits for the router to ask for them. */
function preloaded(): Plugin {
  return {
    name: "preloaded",
    apply: "build",
    generateBundle(_, bundle) {
      const chunks = Object.values(bundle).filter((file) => file.type === "chunk");
      const found: Record<string, string[]> = {};
      for (const [, address = "", module = ""] of readFileSync("src/router.tsx", "utf8").matchAll(ROUTE)) {
        const screen = chunks.find((chunk) => chunk.facadeModuleId?.endsWith(`/src/${module}.tsx`));
        if (!screen) throw new Error(`no chunk of ${module}`);
        const needed = new Set([screen]);
        for (const chunk of needed) for (const each of chunks) if (chunk.imports.includes(each.fileName)) needed.add(each);
        found[address] = [...needed].flatMap((chunk) => [chunk.fileName, ...(chunk.viteMetadata?.importedCss ?? [])]);
      }
      this.emitFile({ type: "asset", fileName: "preload.json", source: JSON.stringify({ ...found, "/": found["/runs"] }) });
    },
  };
}

const ROUTE = /path: "([^"]+)", component: lazyRouteComponent\(\(\) => import\("\.\/([^"]+)"\)/g;

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
  plugins: [compressed(), preloaded(), first()],
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
            // What asks for the first rows: it needs none of the libraries, and runs before they do.
            { name: "early", test: /src\/(early|logic\/(format|pages|search|window)|screens\/runs\/filter|data\/(early|graphql|http|names|runs|trace))\.ts/, priority: 10 },
            { name: "vendor", test: /node_modules\/(preact|@tanstack|use-sync)|rolldown.runtime/ },
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
