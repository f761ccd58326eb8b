import { ByteBuffer, type Part, partBytesMax, type Splitter } from './part.ts'

const [lineFeed, carriageReturn, quote, comma] = [0x0a, 0x0d, 0x22, 0x2c]

/** Where the reader is in a row. `return`: a carriage return came, and a line feed has to follow. `lost`: the row is wrong, and its end is looked for. */
type State = 'start' | 'plain' | 'quoted' | 'closed' | 'return' | 'lost'

/**
 * Rows of CSV as RFC 4180 has them: fields with commas between, in quotes where they hold a comma, a quote (written twice) or a line break; lines
 * end in CRLF or LF. A field is its bytes, as they are. Empty lines are passed over. A wrong row is told and the next one read.
 */
export class CsvSplitter implements Splitter<readonly Uint8Array[]> {
  readonly #field = new ByteBuffer()
  #fields: Uint8Array[] = []
  #state: State = 'start'
  #fault: string | undefined
  #bytes = 0
  #line = 1
  #begun = 1

  push(chunk: Uint8Array): readonly Part<readonly Uint8Array[]>[] {
    const parts: Part<readonly Uint8Array[]>[] = []
    for (const byte of chunk) {
      this.#bytes += 1
      const ends = this.#state === 'quoted' ? this.#inQuotes(byte) : this.#outside(byte)
      if (byte === lineFeed) this.#line += 1
      if (ends) this.#endRow(parts)
    }
    return parts
  }

  end(): readonly Part<readonly Uint8Array[]>[] {
    const parts: Part<readonly Uint8Array[]>[] = []
    if (this.#state === 'quoted') {
      this.#fault = 'a quote in the row that begins here is never closed, so nothing after it was read'
    }
    if (this.#state === 'return') this.#fault ??= loneReturn
    if (this.#bytes > 0) this.#endRow(parts)
    return parts
  }

  /** Between the quotes everything is the field's own. */
  #inQuotes(byte: number): false {
    if (byte === quote) this.#state = 'closed'
    else this.#field.push(byte)
    return false
  }

  /** Whether this byte ends the row. */
  #outside(byte: number): boolean {
    if (byte === lineFeed) return true
    if (this.#state === 'return') this.#lose(loneReturn)
    if (this.#state === 'lost') return false
    switch (byte) {
      case carriageReturn:
        this.#state = 'return'
        return false
      case comma:
        this.#endField()
        return false
      case quote:
        this.#quote()
        return false
      default:
        if (this.#state === 'closed') this.#lose('something follows a closing quote')
        else this.#state = 'plain'
        this.#field.push(byte)
        return false
    }
  }

  #quote(): void {
    if (this.#state === 'plain') {
      this.#lose('a quote stands in a field that is not in quotes')
      return
    }
    // a quote written twice is one, and the field goes on
    if (this.#state === 'closed') this.#field.push(quote)
    this.#state = 'quoted'
  }

  #lose(fault: string): void {
    this.#fault ??= fault
    this.#state = 'lost'
  }

  #endField(): void {
    const field = this.#field.take()
    if (this.#bytes <= partBytesMax) this.#fields.push(field)
    this.#state = 'start'
  }

  #endRow(parts: Part<readonly Uint8Array[]>[]): void {
    const isEmpty = this.#fields.length === 0 && this.#field.length === 0 && (this.#state === 'start' || this.#state === 'return')
    if (this.#bytes > partBytesMax) this.#fault = `the row is longer than ${partBytesMax} bytes; look for a quote that is not closed`
    this.#endField()
    if (this.#fault !== undefined) parts.push({ line: this.#begun, fault: this.#fault })
    else if (!isEmpty) parts.push({ line: this.#begun, content: this.#fields })
    this.#fields = []
    this.#fault = undefined
    this.#bytes = 0
    this.#begun = this.#line
  }
}

const loneReturn = 'a carriage return has no line feed behind it; a field with line breaks stands in quotes'
