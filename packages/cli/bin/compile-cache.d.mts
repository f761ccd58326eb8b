export function dataIn(text: string): string | undefined
export function cacheFolder(args: readonly string[], env: Readonly<Record<string, string | undefined>>, cwd: string): string | undefined
