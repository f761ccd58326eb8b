import { ConditionIndex } from './condition-index.ts'
import { everything, type NamePattern } from './name-pattern.ts'
import { type Action, actions, type Target } from './policy.ts'
import { PrefixTree } from './prefix-tree.ts'
import { earlier, type Ranked, type Rule } from './rule.ts'

const indexOf = new Map<Action, number>(actions.map((action, at) => [action, at]))

/** The rules of one pattern: by action, then effect, then conditions. */
class PatternRules {
  readonly #deny: ConditionIndex[] = []
  readonly #allow: ConditionIndex[] = []

  add(rule: Rule, ranked: Ranked): void {
    const side = rule.effect === 'deny' ? this.#deny : this.#allow
    for (const action of rule.actions ?? actions) {
      const at = indexOf.get(action) ?? 0
      side[at] ??= new ConditionIndex()
      side[at].add(rule, ranked)
    }
  }

  match(action: number, target: Target, found: Found): void {
    const deny = this.#deny[action]
    if (deny !== undefined) found.deny = earlier(found.deny, deny.first(target))
    const allow = this.#allow[action]
    if (allow !== undefined && found.deny === undefined) found.allow = earlier(found.allow, allow.first(target))
  }
}

/** What a search has met so far. */
export interface Found {
  deny: Ranked | undefined
  allow: Ranked | undefined
}

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

  add(rule: Rule, ranked: Ranked): void {
    for (const pattern of rule.secrets ?? [everything]) this.#rulesOf(pattern).add(rule, ranked)
    const bits = (rule.actions ?? actions).reduce((mask, action) => mask | bitOf(action), 0)
    if (rule.effect === 'allow') this.#allows |= bits
    else if (rule.types === null && rule.labels === null && (rule.secrets ?? [everything]).some(isEverything)) this.#deniesAll |= bits
  }

  /** Whether an allow rule has the action. */
  allows(action: Action): boolean {
    return (this.#allows & bitOf(action)) !== 0
  }

  /** Whether a rule denies the action on everything. */
  deniesAll(action: Action): boolean {
    return (this.#deniesAll & bitOf(action)) !== 0
  }

  /** Adds to `found` the first deny and the first allow that match. `segments` are those of the target's name. */
  search(segments: readonly string[], action: Action, target: Target, found: Found): void {
    this.#walk(this.#root, 0, { segments, action: indexOf.get(action) ?? -1, target, found })
  }

  #walk(node: Node, at: number, search: Search): void {
    const { segments, action, target, found } = search
    const segment = segments[at]
    if (segment === undefined) {
      node.exact?.match(action, target, found)
      return
    }
    node.open?.each(segment, rules => rules.match(action, target, found))
    const literal = node.literal?.get(segment)
    if (literal !== undefined) this.#walk(literal, at + 1, search)
    if (node.any !== undefined && segment !== '') this.#walk(node.any, at + 1, search)
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
  readonly action: number
  readonly target: Target
  readonly found: Found
}

function bitOf(action: Action): number {
  return 1 << (indexOf.get(action) ?? 31)
}

function isEverything(pattern: NamePattern): boolean {
  return pattern.segments.length === 0 && pattern.rest === ''
}
