/** One golden file: the files of a config, the environment, and what is said about them. */
export interface Golden {
  readonly files: Readonly<Record<string, string>>
  readonly env: Readonly<Record<string, string>>
  readonly says: string
}

/** Reads `=== NAME` and the text below it, for each file, `env` and `says`. */
export function parseGolden(text: string): Golden {
  const parts = text.split(/^=== (.+)\n/m)
  const sections = new Map<string, string>()
  for (let index = 1; index < parts.length; index += 2) sections.set(parts[index] ?? '', parts[index + 1] ?? '')
  const env = (sections.get('env') ?? '').split('\n').filter(line => line !== '')
  const files = [...sections].filter(([name]) => name !== 'env' && name !== 'says')
  return {
    files: Object.fromEntries(files),
    env: Object.fromEntries(env.map(line => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)])),
    says: sections.get('says') ?? '',
  }
}
