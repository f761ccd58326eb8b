import type { KeyPath, PolicySource } from '../src/input.ts'

/**
 * A source whose places are the paths themselves, in `file`. Asking for a place that is not in the value fails, as it would
 * where a parser has no node for it.
 */
export function sourceOf(value: unknown, base: KeyPath = []): PolicySource {
  return {
    value,
    base,
    locate: path => {
      let node = value
      for (const part of path.slice(base.length)) {
        if (typeof node !== 'object' || node === null || !Object.hasOwn(node, part)) throw new Error(`no such place: ${path.join('.')}`)
        node = Reflect.get(node, part)
      }
      return { file: path.join('.'), line: 1, column: 1 }
    },
  }
}
