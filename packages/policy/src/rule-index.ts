import { everything, type NamePattern } from './name-pattern.ts'
import { bitOf, MatchingRules, maskOf, PatternRules } from './pattern-rules.ts'
import type { Action, Target } from './policy.ts'
import { PrefixTree } from './prefix-tree.ts'
import { lower, type Ranked, type Rule } from './rule.ts'

interface Node {
  literal: Map<string, Node> | undefined
  any: Node | undefined
  /** Patterns that end here with a rest. */
  open: PrefixTree<PatternRules> | undefined
  /** Patterns that end exactly here. */
  exact: PatternRules | undefined
}

const bare = (): Node => ({ literal: undefined, any: undefined, open: undefined, exact: undefined })

// more than a search for plain patterns ever visits: one node a segment, and its `+` child
const fewNodes = 12
const keptNames = 4096

/**
 * The rules of one role, found by name: a trie of segments, each node with its literal children, its `+` child and the
 * prefixes that end in it. A search follows the segments of the name and meets only patterns that match. Where very many do
 * (a thicket of `+`), what they come to is kept for the names asked last, so that the next decision does not meet them again.
 */
export class RuleIndex {
  readonly #root = bare()
  readonly #kept = new Map<string, MatchingRules>()
  #allows = 0
  #deniesAll = 0

  add(rule: Rule, place: Ranked): void {
    const patterns = rule.secrets ?? [everything]
    for (const pattern of patterns) this.#rulesOf(pattern).add(rule, place)
    const mask = maskOf(rule.actions)
    if (rule.effect === 'allow') this.#allows |= mask
    else if (rule.types === null && rule.labels === null && patterns.some(isEverything)) this.#deniesAll |= mask
  }

  /** Whether an allow rule has the action. */
  allows(action: Action): boolean {
    return (this.#allows & bitOf(action)) !== 0
  }

  /** Whether a rule denies the action on everything. */
  deniesAll(action: Action): boolean {
    return (this.#deniesAll & bitOf(action)) !== 0
  }

  /** The rule that decides; undefined when none matches. */
  deciding(name: string, action: Action, target: Target): Ranked | undefined {
    const bit = bitOf(action)
    const kept = this.#kept.size === 0 ? undefined : this.#kept.get(name)
    if (kept !== undefined) return kept.deciding(bit, target)
    const search: Search = { segments: name.split('/'), action: bit, target, visited: 0 }
    const best = walk(this.#root, 0, search)
    if (search.visited > fewNodes) this.#keep(name, search.segments)
    return best
  }

  #keep(name: string, segments: readonly string[]): void {
    const patterns: PatternRules[] = []
    collect(this.#root, 0, segments, patterns)
    if (this.#kept.size === keptNames) this.#kept.clear()
    this.#kept.set(name, new MatchingRules(patterns))
  }

  #rulesOf(pattern: NamePattern): PatternRules {
    let node = this.#root
    for (const segment of pattern.segments) {
      if (segment === null) {
        node.any ??= bare()
        node = node.any
        continue
      }
      node.literal ??= new Map()
      const next = node.literal.get(segment) ?? bare()
      node.literal.set(segment, next)
      node = next
    }
    if (pattern.rest === null) {
      node.exact ??= new PatternRules()
      return node.exact
    }
    node.open ??= new PrefixTree()
    return node.open.at(pattern.rest, () => new PatternRules())
  }
}

interface Search {
  readonly segments: readonly string[]
  /** One bit. */
  readonly action: number
  readonly target: Target
  visited: number
}

function walk(node: Node, at: number, search: Search): Ranked | undefined {
  const { segments, action, target } = search
  search.visited++
  const segment = segments[at]
  if (segment === undefined) return node.exact?.deciding(action, target)
  let best: Ranked | undefined
  node.open?.each(segment, rules => {
    best = lower(best, rules.deciding(action, target))
  })
  const literal = node.literal?.get(segment)
  if (literal !== undefined) best = lower(best, walk(literal, at + 1, search))
  if (node.any !== undefined && segment !== '') best = lower(best, walk(node.any, at + 1, search))
  return best
}

// the same way as `walk`, without a question
function collect(node: Node, at: number, segments: readonly string[], into: PatternRules[]): void {
  const segment = segments[at]
  if (segment === undefined) {
    if (node.exact !== undefined) into.push(node.exact)
    return
  }
  node.open?.each(segment, rules => into.push(rules))
  const literal = node.literal?.get(segment)
  if (literal !== undefined) collect(literal, at + 1, segments, into)
  if (node.any !== undefined && segment !== '') collect(node.any, at + 1, segments, into)
}

function isEverything(pattern: NamePattern): boolean {
  return pattern.segments.length === 0 && pattern.rest === ''
}
