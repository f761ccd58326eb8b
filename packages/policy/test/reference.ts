import type { Action, BindingForm, PolicyForm, RuleForm, Target } from '../src/index.ts'

/** The rules again, slow and obvious: every rule is looked at, every condition asked in turn. */
export function reference(form: PolicyForm, principal: { id: string; roles: string[] }, action: Action, target: Target) {
  const held = new Set(principal.roles)
  for (const binding of form.bindings ?? []) if (idsOf(binding).includes(principal.id)) held.add(binding.role)
  const matching = (effect: 'allow' | 'deny') =>
    Object.entries(form.roles ?? {}).flatMap(([role, { [effect]: rules }]) =>
      (rules ?? []).flatMap((rule, at) => (held.has(role) && holds(rule, action, target) ? [`roles.${role}.${effect}.${at}`] : [])),
    )
  const [deny] = matching('deny')
  if (deny !== undefined) return { allowed: false, rule: deny }
  const [allow] = matching('allow')
  if (allow !== undefined) return { allowed: true, rule: allow }
  return held.has('admin') ? { allowed: true, rule: 'admin' } : { allowed: false, rule: null }
}

function idsOf(binding: BindingForm): string[] {
  return [...(binding.tokens ?? []).map(name => `token:${name}`), ...(binding.serviceAccounts ?? []).map(name => `serviceAccount:${name}`)]
}

function holds(rule: RuleForm, action: Action, target: Target): boolean {
  if (rule.actions !== undefined && !rule.actions.includes(action)) return false
  if (rule.types !== undefined && (target.type === undefined || !rule.types.includes(target.type))) return false
  if (rule.secrets !== undefined && !rule.secrets.some(pattern => covers(pattern, target.name))) return false
  return Object.entries(rule.labels ?? {}).every(([name, value]) => target.labels?.[name] === value)
}

function covers(pattern: string, name: string | null): boolean {
  if (pattern === '*') return true
  if (name === null) return false
  const [first = '', ...more] = pattern.split('/')
  const [segment = '', ...rest] = name.split('/')
  if (more.length === 0 && first.endsWith('*')) return name.startsWith(first.slice(0, -1))
  if (first !== '+' && first !== segment) return false
  if (more.length === 0 || rest.length === 0) return more.length === rest.length
  return covers(more.join('/'), rest.join('/'))
}
