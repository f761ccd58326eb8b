interface Edge<T> {
  label: string
  held: T | undefined
  /** By the first character of their labels. */
  edges: Map<number, Edge<T>> | undefined
}

/** Things held by prefix. Finding all prefixes of a text takes time in its length only, however many are held. */
export class PrefixTree<T> {
  readonly #root: Edge<T> = { label: '', held: undefined, edges: undefined }

  /** What is held at exactly this prefix; made by `make` when nothing is. */
  at(prefix: string, make: () => T): T {
    let edge = this.#root
    for (let rest = prefix; rest !== ''; ) {
      edge.edges ??= new Map()
      const next = edge.edges.get(rest.charCodeAt(0))
      if (next === undefined) {
        const leaf: Edge<T> = { label: rest, held: undefined, edges: undefined }
        edge.edges.set(rest.charCodeAt(0), leaf)
        edge = leaf
        break
      }
      const shared = sharedLength(next.label, rest)
      if (shared < next.label.length) split(next, shared)
      edge = next
      rest = rest.slice(shared)
    }
    edge.held ??= make()
    return edge.held
  }

  /** Visits what is held at every prefix of the text, the empty one and the whole text included. */
  each(text: string, visit: (held: T) => void): void {
    let edge: Edge<T> | undefined = this.#root
    for (let at = 0; edge !== undefined; ) {
      if (edge.held !== undefined) visit(edge.held)
      const next: Edge<T> | undefined = edge.edges?.get(text.charCodeAt(at))
      if (next === undefined || !text.startsWith(next.label, at)) return
      at += next.label.length
      edge = next
    }
  }
}

function sharedLength(a: string, b: string): number {
  let at = 0
  while (at < a.length && at < b.length && a.charCodeAt(at) === b.charCodeAt(at)) at++
  return at
}

function split<T>(edge: Edge<T>, at: number): void {
  const below: Edge<T> = { label: edge.label.slice(at), held: edge.held, edges: edge.edges }
  edge.label = edge.label.slice(0, at)
  edge.held = undefined
  edge.edges = new Map([[below.label.charCodeAt(0), below]])
}
