const lengthMax = 32

/** An id that was refused, as a message may show it: what is long could be a key in the wrong place. */
export function shownId(id: string): string {
  if (id === '') return 'nothing'
  return id.length > lengthMax ? `${id.length} characters, not shown` : JSON.stringify(id)
}
