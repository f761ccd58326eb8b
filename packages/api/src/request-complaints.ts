import type { z } from 'zod'
import type { RequestComplaint } from './problem.ts'

type Issue = z.core.$ZodIssue

// their members are named by the caller, and a name in the wrong place may be a value
const named = new Set(['fields', 'labels'])

/** What a schema found wrong with a request, for `errors` of a problem: places and rules, nothing of what was sent. */
export function requestComplaints(error: { readonly issues: readonly Issue[] }): readonly RequestComplaint[] {
  return error.issues.flatMap(issue => complaints(issue, []))
}

function complaints(issue: Issue, outer: readonly PropertyKey[]): readonly RequestComplaint[] {
  const path = [...outer, ...issue.path]
  if (issue.code === 'invalid_union') {
    // the form that went furthest in is the one that was meant
    const nearest = [...issue.errors].sort((a, b) => depth(b) - depth(a) || a.length - b.length)[0] ?? []
    if (nearest.length > 0) return nearest.flatMap(inner => complaints(inner, path))
  }
  return [{ path: written(path), message: messageOf(issue) }]
}

const depth = (issues: readonly Issue[]) => Math.max(0, ...issues.map(issue => issue.path.length))

function messageOf(issue: Issue): string {
  switch (issue.code) {
    case 'unrecognized_keys':
      return `holds ${issue.keys.length === 1 ? 'a member' : `${issue.keys.length} members`} that this request does not know`
    case 'invalid_key':
      return 'has a member whose name is empty or too long'
    default:
      return issue.message
  }
}

function written(path: readonly PropertyKey[]): string {
  const hidden = path.findIndex((part, at) => at > 0 && named.has(String(path[at - 1])) && typeof part === 'string')
  const shown = hidden === -1 ? path : [...path.slice(0, hidden), '*']
  return shown.map(String).join('.')
}
