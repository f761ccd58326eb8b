/** A fenced block of a Markdown text, and where it begins. */
export interface Block {
  /** The first word after the fence: `ts`, `sh`, `diff`. */
  readonly language: string
  /** The word after it, where that is no setting: `run` of `sh run`. */
  readonly role?: string | undefined
  /** What `file=` among them names. */
  readonly file: string | undefined
  /** The lines between the fences, each with its line feed. */
  readonly text: string
  /** `CONTRIBUTING.md:120`, for complaints. */
  readonly at: string
}

/** Every fenced block in order. A fence is closed by one as long as itself, so that a longer one may hold Markdown with fences. */
export function blocksOf(markdown: string, name: string): readonly Block[] {
  const found: Block[] = []
  const fenced = /^(?<fence>`{3,})(?<language>\S*)(?<rest>[^\n]*)\n(?<text>[\s\S]*?)^\k<fence>$/gm
  for (const match of markdown.matchAll(fenced)) {
    const { language = '', rest = '', text = '' } = match.groups ?? {}
    const line = markdown.slice(0, match.index).split('\n').length
    found.push({ language, role: /^ ([a-z]+)(?: |$)/.exec(rest)?.[1], file: /\bfile=(\S+)/.exec(rest)?.[1], text, at: `${name}:${line}` })
  }
  return found
}

/** The text without its fenced blocks and code spans, line by line as before. */
export function proseOf(markdown: string): string {
  const blank = (code: string) => code.replace(/[^\n]/g, '')
  return markdown.replace(/^(`{3,})[^\n]*\n[\s\S]*?^\1$/gm, blank).replace(/`[^`\n]+`/g, blank)
}

/**
 * A text after a `diff` block: lines that begin with a space stand there, those with `-` go, those with `+` come. What stands and
 * what goes must be found together, exactly once, or this throws with the reason.
 */
export function patched(before: string, diff: Block): string {
  const lines = diff.text.split('\n').slice(0, -1)
  const wrong = lines.find(line => !/^[ +-]/.test(line) && line !== '')
  if (wrong !== undefined) throw new Error(`${diff.at}: a line of a diff begins with a space, + or -: ${wrong}`)
  const only = (signs: string) => lines.filter(line => signs.includes(line[0] ?? ' ')).map(line => `${line.slice(1)}\n`)
  const [old, now] = [only(' -').join(''), only(' +').join('')]
  // a match begins where a line begins
  const times = old === '' ? 0 : `\n${before}`.split(`\n${old}`).length - 1
  if (times !== 1) throw new Error(`${diff.at}: these lines must stand in ${diff.file} once, and stand there ${times} times:\n${old}`)
  return `\n${before}`.replace(`\n${old}`, () => `\n${now}`).slice(1)
}
