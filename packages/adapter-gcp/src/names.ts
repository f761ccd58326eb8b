import { type Alphabet, BrokerError, escapedName, type StorePath, unescapedName } from '@keyturn/core'

/** Where the secrets of a section are: a project, and for regional secrets a location. */
export interface Home {
  readonly project?: string | undefined
  readonly location?: string | undefined
}

/** A secret's place at Google: what its versions and its siblings hang below. */
export interface Place {
  /** `projects/p`, or `projects/p/locations/l`. */
  readonly parent: string
  readonly id: string
}

/** Letters of either case, digits, dashes and underscores. https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets/create */
const alphabet: Alphabet = { allowed: /^[\w-]{1,255}$/, literal: /\w/ }
const fullName = /^projects\/([^/]+)(?:\/locations\/([^/]+))?\/secrets\/([^/]*)$/
/** An id, a number, or an id of a domain's project: `example.com:shop`. */
export const projectForm = /^(?:[a-z\d.-]+:)?[a-z\d][a-z\d-]{0,62}$/
/** As in `europe-west3`. */
export const locationForm = /^[a-z][a-z\d-]{0,62}$/
const bytesMax = 2_048

/**
 * Reads a path: a secret's id, its full name `projects/p/secrets/id` (`projects/p/locations/l/secrets/id` for a regional one), or any other text,
 * which is written as an id by `escapedName`. Anything that cannot be an id is `invalid_argument`.
 */
export function placeOf(path: string, home: Home): Place {
  if (path === '') throw refused(path, 'it is empty')
  if (Buffer.byteLength(path) > bytesMax) throw refused(path, 'it is too long')
  if (!path.startsWith('projects/')) return { parent: parentOf(home), id: idOf(path) }
  const [, project, location, id] = fullName.exec(path) ?? []
  if (project === undefined || id === undefined) throw refused(path, 'a full name is projects/PROJECT/secrets/ID')
  if (!projectForm.test(project)) throw refused(path, 'its project is none')
  if (location !== home.location) {
    const where = home.location === undefined ? 'no location' : `the location ${home.location}`
    throw refused(path, `its section has ${where}`, 'give regional secrets a section with their location')
  }
  if (!alphabet.allowed.test(id)) throw refused(path, 'an id has letters, digits, - and _, at most 255')
  return { parent: parentOf({ project, location }), id }
}

/** What `list` says of a secret: its plain path, or its full name where the prefix asks for that or no path leads to its id. */
export function pathOf(name: string, prefix: string): StorePath {
  const id = name.slice(name.lastIndexOf('/') + 1)
  const path = prefix.startsWith('projects/') ? name : (unescapedName(id, alphabet) ?? name)
  // names of the service begin with the project's number, whatever it was asked by
  return (path === name ? fullNameOf(prefix, name, id) : path) as StorePath
}

/** The parent to list, and with what every path must begin. */
export function folderOf(prefix: string, home: Home): string {
  if (!prefix.startsWith('projects/')) return parentOf(home)
  const [, project, location] = /^projects\/([^/]+)(?:\/locations\/([^/]+))?\/secrets\//.exec(prefix) ?? []
  if (project === undefined || !projectForm.test(project) || location !== home.location) {
    throw refused(prefix, 'a prefix of full names is projects/PROJECT/secrets/')
  }
  return parentOf({ project, location })
}

/** The broker's default name of a path: a full name without what stands before the id. `invalid_argument` for what a config may not name. */
export function nameOf(path: string, home: Home = {}): string {
  const broken = ambiguity(path)
  if (broken !== undefined) throw refused(path, broken, 'write it as projects/PROJECT/secrets/ID')
  return path.startsWith('projects/') ? placeOf(path, home).id : checked(path)
}

/** Why a path of a config does not say which secret it means; undefined when it does. */
export function ambiguity(path: string): string | undefined {
  return /^[\w-]*---[\w-]*$/.test(path) ? 'three dashes in a row stand for a slash in the id of another path' : undefined
}

/** The name of a secret on the wire. */
export function secretName({ parent, id }: Place): string {
  return `${parent}/secrets/${id}`
}

function parentOf({ project, location }: Home): string {
  if (project === undefined) {
    throw new BrokerError('invalid_argument', 'gcp: no project is known', {
      hint: 'give the section its project, set GOOGLE_CLOUD_PROJECT, or write paths as projects/PROJECT/secrets/ID',
    })
  }
  return location === undefined ? `projects/${project}` : `projects/${project}/locations/${location}`
}

function idOf(path: string): string {
  const id = escapedName(path, alphabet)
  if (alphabet.allowed.test(id)) return id
  throw refused(path, `written as an id of Google it has ${id.length} characters, of at most 255`, 'take a shorter path')
}

function checked(path: string): string {
  if (path === '') throw refused(path, 'it is empty')
  idOf(path)
  return path
}

function fullNameOf(prefix: string, name: string, id: string): string {
  const asked = /^projects\/[^/]+(?:\/locations\/[^/]+)?\/secrets\//.exec(prefix)?.[0]
  return asked === undefined ? name : `${asked}${id}`
}

function refused(path: string, why: string, hint = 'write the id of the secret, as in stripe-key, or its full name'): BrokerError {
  return new BrokerError('invalid_argument', `not a path of gcp: ${JSON.stringify(path.slice(0, 200))}: ${why}`, { hint })
}
