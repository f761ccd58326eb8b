import { posix } from 'node:path'
import { proseOf } from './blocks.ts'

/** A Markdown page: its path from the root, and its text. */
export interface Page {
  readonly path: string
  readonly text: string
}

/** Every relative link of a page, with the line it stands on. Links in code are none. */
export function relativeLinks({ text }: Page): readonly { readonly target: string; readonly line: number }[] {
  const found: { target: string; line: number }[] = []
  for (const [at, line] of proseOf(text).split('\n').entries()) {
    const inline = [...line.matchAll(/\]\(([^)\s]+)\)/g)]
    const defined = [...line.matchAll(/^\[[^\]]+\]:\s*(\S+)/g)]
    for (const [, target = ''] of [...inline, ...defined]) if (!/^[a-z][a-z0-9+.-]*:/i.test(target)) found.push({ target, line: at + 1 })
  }
  return found
}

/** What a page's headings are called in links (GitHub: small letters, spaces as -, other signs gone). */
export function anchorsOf({ text }: Page): readonly string[] {
  const headings = text.replace(/^(`{3,})[^\n]*\n[\s\S]*?^\1$/gm, '').matchAll(/^#{1,6}\s+(.+)$/gm)
  return [...headings].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replace(/\s/g, '-'),
  )
}

/** The links of these pages that lead nowhere, in words. `exists` knows every file and folder of the project by its path from the root. */
export function brokenLinks(pages: readonly Page[], exists: (path: string) => boolean): readonly string[] {
  const byPath = new Map(pages.map(page => [page.path, page]))
  return pages.flatMap(page =>
    relativeLinks(page).flatMap(({ target, line }) => {
      const [file = '', anchor] = target.split('#')
      const path = file === '' ? page.path : posix.normalize(posix.join(posix.dirname(page.path), file)).replace(/\/$/, '')
      const at = `${page.path}:${line}: ${target}`
      if (path.startsWith('..') || !exists(path)) return [`${at}: no such file`]
      const other = byPath.get(path)
      if (anchor === undefined || other === undefined || anchorsOf(other).includes(anchor)) return []
      return [`${at}: no such heading`]
    }),
  )
}
