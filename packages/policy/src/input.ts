/** Where something stands in a file; lines and columns count from 1. */
export interface Position {
  readonly file: string
  readonly line: number
  readonly column: number
}

/** The way to a value from the top of its file: `['access', 'roles', 'worker-role', 'allow', 0, 'secrets', 1]`. */
export type KeyPath = readonly (string | number)[]

/**
 * One file's (or one joined config's) roles, bindings and tests: plain values as YAML gave them, and a way to ask where each
 * one stands. Whoever parses need not check a shape: every wrong one becomes a complaint of `compile`.
 */
export interface PolicySource {
  /** A `PolicyForm`; anything else is answered with complaints. Of a config's `access`: these three members only. */
  readonly value: unknown
  /** Where `value` itself stands: `['access']` in a config, `[]` in a file of its own. Put before every path below. */
  readonly base: KeyPath
  /** Where the value at this path starts (the key, for a value that is a map). Asked only for paths that exist in `value`. */
  readonly locate: (path: KeyPath) => Position
}

/** What is accepted: the YAML form of `roles`, `bindings` and `tests`. Other keys are refused. */
export interface PolicyForm {
  readonly roles?: Readonly<Record<string, RoleForm>>
  readonly bindings?: readonly BindingForm[]
  readonly tests?: readonly TestForm[]
}

/** What a role gives, and what it takes away whoever gives it. */
export interface RoleForm {
  readonly allow?: readonly RuleForm[]
  readonly deny?: readonly RuleForm[]
}

/** Every condition given must hold, one left out holds; one of them at least must be given. */
export interface RuleForm {
  readonly types?: readonly string[]
  /** Patterns of names: `*` as the last character is the rest, `+` is one whole segment. */
  readonly secrets?: readonly string[]
  /** All of these labels, with exactly these values. */
  readonly labels?: Readonly<Record<string, string>>
  readonly actions?: readonly string[]
}

/** Gives a role to principals; one of the two lists at least. */
export interface BindingForm {
  readonly role: string
  /** `namespace/name` */
  readonly serviceAccounts?: readonly string[]
  /** Names of tokens. */
  readonly tokens?: readonly string[]
}

/** What the author expects of the policy: one question and its answer. */
export interface TestForm {
  /** A role, or a principal: `token:ci`, `serviceAccount:shop/checkout`. */
  readonly as: string
  readonly action: string
  readonly secret: string
  readonly expect: 'allow' | 'deny'
}

/** One thing that is wrong. Never holds anything but what the author of the policy wrote. */
export interface Complaint {
  readonly at: Position
  /** The way to it as people write it: `access.roles.worker-role.allow[0].secrets[1]`. */
  readonly path: string
  /** What is wrong; lower case. */
  readonly message: string
  /** What to write instead. */
  readonly remedy: string
}
