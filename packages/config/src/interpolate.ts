/** The environment of the process, or what a test puts in its place. */
export type Environment = Readonly<Record<string, string | undefined>>

/** Something about one `$` of a text; `index` is where it stands in it. */
export interface Remark {
  readonly level: 'error' | 'warning'
  readonly index: number
  readonly message: string
  readonly remedy: string
}

export interface Interpolated {
  readonly text: string
  /** The variables that were asked for, with the values that were put in; null where the default was. */
  readonly variables: readonly (readonly [name: string, value: string | null])[]
  readonly remarks: readonly Remark[]
}

const name = /^[A-Za-z_][A-Za-z0-9_]*$/
/** Of one text: whoever has more of them sees what they are. */
const remarksMax = 10
const bare = /^\$([A-Za-z_][A-Za-z0-9_]*)/

/**
 * Puts variables into a text: `${NAME}`, `${NAME:-default}` (also when the variable is empty), `$${` for a literal `${`. A
 * broken form and a variable without a value become remarks, which name the variable and never a value.
 */
export function interpolate(source: string, env: Environment): Interpolated {
  const remarks: Remark[] = []
  const variables: [string, string | null][] = []
  let text = ''
  let index = 0
  const remark = (found: Remark) => {
    if (remarks.length < remarksMax) remarks.push(found)
  }
  for (;;) {
    const dollar = source.indexOf('$', index)
    if (dollar < 0) return { text: text + source.slice(index), variables, remarks }
    text += source.slice(index, dollar)
    if (source.startsWith('$${', dollar)) {
      text += '${'
      index = dollar + 3
    } else if (source.startsWith('${', dollar)) {
      const end = source.indexOf('}', dollar)
      const form = readForm(source.slice(dollar + 2, end < 0 ? undefined : end), end >= 0, env)
      if ('message' in form) remark({ level: 'error', index: dollar, ...form })
      else text += form.value
      if (form.variable !== undefined) variables.push([form.variable, 'value' in form && form.fromEnvironment ? form.value : null])
      index = end < 0 ? source.length : end + 1
    } else {
      const variable = bare.exec(source.slice(dollar, dollar + 80))?.[1]
      if (variable !== undefined) {
        const message = `$${variable} is plain text here, not a variable`
        remark({ level: 'warning', index: dollar, message, remedy: `write \${${variable}} if the variable is meant` })
      }
      text += '$'
      index = dollar + 1
    }
  }
}

type Form =
  | { readonly value: string; readonly variable: string; readonly fromEnvironment: boolean }
  | { readonly message: string; readonly remedy: string; readonly variable?: string }

function readForm(body: string, closed: boolean, env: Environment): Form {
  if (!closed) {
    const start = /^[A-Za-z_][A-Za-z0-9_]*/.exec(body)?.[0] ?? 'NAME'
    return { message: 'a variable starts with ${ and is never closed', remedy: `write \${${start}}, or $\${ for the characters themselves` }
  }
  const colon = body.indexOf(':-')
  const variable = colon < 0 ? body : body.slice(0, colon)
  const fallback = colon < 0 ? undefined : body.slice(colon + 2)
  if (!name.test(variable)) {
    return { message: `not the name of a variable between \${ and }`, remedy: nameRemedy(body) }
  }
  if (fallback?.includes('${')) {
    return { message: `the default of ${variable} holds another variable`, remedy: 'write plain text after :-', variable }
  }
  const value = Object.hasOwn(env, variable) ? env[variable] : undefined
  if (value !== undefined && (value !== '' || fallback === undefined)) return { value, variable, fromEnvironment: true }
  if (fallback !== undefined) return { value: fallback, variable, fromEnvironment: false }
  return {
    message: `the variable ${variable} is not set`,
    remedy: `set ${variable}, or write \${${variable}:-default}`,
    variable,
  }
}

function nameRemedy(body: string): string {
  const start = /^[A-Za-z_][A-Za-z0-9_]*/.exec(body.trim())?.[0]
  if (start !== undefined && /^\s*[A-Za-z_][A-Za-z0-9_]*\s*[:?+=-]/.test(body)) return `write \${${start}} or \${${start}:-default}`
  return `write \${NAME} with letters, digits and _, or $\${ for the characters themselves`
}
