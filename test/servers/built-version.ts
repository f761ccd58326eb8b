import { readFile } from 'node:fs/promises'

/** The version of a Go module in a program that `go install` made: it stands there, while the program may call itself `dev`. */
export async function builtVersion(program: string, module: string): Promise<string> {
  const bytes = await readFile(program)
  const before = `${module}\t`
  const at = bytes.indexOf(before)
  const found = at === -1 ? '' : bytes.subarray(at + before.length, at + before.length + 40).toString('latin1')
  return /^v([\d.]+)/.exec(found)?.[1] ?? 'of an unknown version'
}
