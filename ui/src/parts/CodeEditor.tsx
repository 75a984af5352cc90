import { json, jsonParseLinter } from "@codemirror/lang-json";
import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { linter } from "@codemirror/lint";
import { Annotation } from "@codemirror/state";
import { placeholder } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { EditorView, minimalSetup } from "codemirror";
import { useEffect, useRef } from "react";

import { server } from "../data/server";
import type { EditorProps } from "./Editor";
import styles from "./Editor.module.css";

const LINE_PX = 18;
const fromOutside = Annotation.define<boolean>();

const colours = HighlightStyle.define([
  { tag: tags.propertyName, color: "var(--code-key)" },
  { tag: tags.string, color: "var(--code-string)" },
  { tag: tags.number, color: "var(--code-number)" },
  { tag: [tags.bool, tags.null], color: "var(--code-word)" },
]);

const look = EditorView.theme({
  "&": { color: "var(--ink)", fontSize: "12px", background: "none" },
  "&.cm-focused": { outline: "none" },
  ".cm-content": { fontFamily: "var(--mono)", caretColor: "var(--ink)", padding: "8px 0" },
  ".cm-line": { padding: "0 12px" },
  ".cm-placeholder": { color: "var(--faint)", whiteSpace: "pre-wrap" },
  ".cm-selectionBackground, &.cm-focused .cm-selectionBackground": { background: "var(--selected)" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  ".cm-tooltip": { background: "var(--raised)", border: "1px solid var(--line)", color: "var(--ink)" },
  ".cm-scroller": { overflow: "auto" },
});

interface Props extends EditorProps {
  /** The plain field that had the focus, if it had it. */
  before: { current: HTMLTextAreaElement | null };
}

/** CodeMirror for JSON. The content security policy allows its styles by their nonce. */
export default function CodeEditor({ label, text, change, placeholder: hint, rows = 12, before }: Props) {
  const host = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(undefined);
  const latest = useRef(change);
  latest.current = change;
  // What was typed and comes back as `text`: it may be behind the document by then, and must not undo newer letters.
  const echoes = useRef(new Set<string>());
  useEffect(() => {
    if (!host.current) return undefined;
    const made = new EditorView({
      doc: text,
      parent: host.current,
      extensions: [
        EditorView.cspNonce.of(server.nonce),
        minimalSetup,
        json(),
        linter(lint, { delay: 400 }),
        syntaxHighlighting(colours),
        look,
        EditorView.theme({ ".cm-content, .cm-scroller": { minHeight: `${rows * LINE_PX}px` }, "&": { maxHeight: "50vh" } }),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": label }),
        hint ? placeholder(hint) : [],
        EditorView.updateListener.of((update) => {
          if (!update.docChanged || update.transactions.some((each) => each.annotation(fromOutside))) return;
          const typed = update.state.doc.toString();
          echoes.current.add(typed);
          latest.current(typed);
        }),
      ],
    });
    view.current = made;
    // Unless somebody has gone elsewhere since: then the focus is on nothing that the editor is in.
    if (before.current && document.activeElement?.contains(host.current)) {
      const { selectionStart: anchor, selectionEnd: head } = before.current;
      made.dispatch({ selection: { anchor: Math.min(anchor, text.length), head: Math.min(head, text.length) } });
      made.focus();
    }
    return () => made.destroy();
  }, []);
  useEffect(() => {
    const current = view.current?.state.doc.toString();
    if (current === text) echoes.current.clear();
    else if (view.current && !echoes.current.delete(text)) {
      view.current.dispatch({ changes: { from: 0, to: current?.length ?? 0, insert: text }, annotations: fromOutside.of(true) });
    }
  }, [text]);
  return <div ref={host} className={`${styles.host} cm-editor`} />;
}

const parse = jsonParseLinter();

function lint(view: EditorView) {
  return view.state.doc.toString().trim() ? parse(view) : [];
}
