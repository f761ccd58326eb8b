import { everything, type NamePattern } from './name-pattern.ts'
import { bitOf, maskOf, PatternRules } from './pattern-rules.ts'
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

/**
 * The rules of one role, found by name: a trie of segments, each node with its literal children, its `+` child and the
 * prefixes that end in it. A search follows the segments of the name and meets only patterns that match.
 */
export class RuleIndex {
  readonly #root = bare()
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

  /** The rule that decides; undefined when none matches. `segments` are those of the target's name. */
  deciding(segments: readonly string[], action: Action, target: Target): Ranked | undefined {
    return walk(this.#root, 0, { segments, action: bitOf(action), target })
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
}

function walk(node: Node, at: number, search: Search): Ranked | undefined {
  const { segments, action, target } = search
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

function isEverything(pattern: NamePattern): boolean {
  return pattern.segments.length === 0 && pattern.rest === ''
}
