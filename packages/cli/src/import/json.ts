import { ByteBuffer, type Part, partBytesMax, type Splitter, type Spot } from './part.ts'

const code = (character: string) => character.charCodeAt(0)
const [lineFeed, quote, backslash, comma] = [0x0a, code('"'), code('\\'), code(',')]
const [openBrace, closeBrace, openBracket, closeBracket] = [code('{'), code('}'), code('['), code(']')]

/** `lines`: objects one after another. `array`: in one array. `over`: what comes is not looked at any more. */
type Form = 'unknown' | 'lines' | 'array' | 'over'
/** Where in an object: in a string, behind a backslash in one, or elsewhere. */
type Place = 'outside' | 'text' | 'escape'

/**
 * The objects of a stream of JSON: one a line, one after another over several lines each, or all in one array. Each comes as its bytes, not yet
 * parsed. A wrong line is told and the next one read; in an array that is broken off nothing can be.
 */
export class JsonSplitter implements Splitter<Uint8Array> {
  readonly #bytes = new ByteBuffer()
  #form: Form = 'unknown'
  #depth = 0
  #place: Place = 'outside'
  /** The rest of this line is passed over. */
  #skips = false
  #line = 1
  #begun = 1
  /** Of an array: how many items began. */
  #items = 0
  #isLineStart = true

  push(chunk: Uint8Array): readonly Part<Uint8Array>[] {
    const parts: Part<Uint8Array>[] = []
    for (const byte of chunk) {
      if (this.#form === 'over') break
      if (this.#depth > 0 && this.#isLineStart && byte === openBrace && this.#form === 'lines') {
        this.#fail(parts, 'the object that begins here is not closed')
      }
      if (this.#depth === 0) this.#between(byte, parts)
      else this.#inside(byte, parts)
      this.#isLineStart = byte === lineFeed
      if (this.#isLineStart) this.#line += 1
      if (this.#isLineStart) this.#skips = false
    }
    return parts
  }

  end(): readonly Part<Uint8Array>[] {
    if (this.#depth > 0) return [{ ...this.#spot(), fault: 'the object that begins here is not closed' }]
    if (this.#form === 'array') return [{ line: this.#line, fault: 'the array is not closed: the stream was cut' }]
    return []
  }

  #between(byte: number, parts: Part<Uint8Array>[]): void {
    if (this.#skips || isSpace(byte)) return
    if (byte === openBrace) {
      if (this.#form === 'unknown') this.#form = 'lines'
      this.#begun = this.#line
      this.#items += 1
      this.#depth = 1
      this.#bytes.push(byte)
      return
    }
    if (byte === openBracket && this.#form === 'unknown') this.#form = 'array'
    else if (byte === closeBracket && this.#form === 'array') this.#form = 'over'
    else if (byte !== comma || this.#form !== 'array') this.#stray(parts)
  }

  #stray(parts: Part<Uint8Array>[]): void {
    const isArray = this.#form === 'array'
    parts.push({ line: this.#line, fault: isArray ? `what stands here is no object, ${nothingAfter}` : 'no JSON object begins here' })
    if (isArray) this.#form = 'over'
    this.#skips = true
  }

  #inside(byte: number, parts: Part<Uint8Array>[]): void {
    this.#bytes.push(byte)
    if (this.#place === 'escape') this.#place = 'text'
    else if (this.#place === 'text') this.#inText(byte, parts)
    else if (byte === quote) this.#place = 'text'
    else if (byte === openBrace || byte === openBracket) this.#depth += 1
    else if (byte === closeBrace || byte === closeBracket) {
      this.#depth -= 1
      if (this.#depth === 0) this.#finish(parts)
    }
  }

  #inText(byte: number, parts: Part<Uint8Array>[]): void {
    if (byte === quote) this.#place = 'outside'
    else if (byte === backslash) this.#place = 'escape'
    else if (byte === lineFeed) this.#fail(parts, 'a string of the object that begins here is not closed on its line')
  }

  #finish(parts: Part<Uint8Array>[]): void {
    if (this.#bytes.length <= partBytesMax) parts.push({ ...this.#spot(), content: this.#bytes.take() })
    else parts.push({ ...this.#spot(), fault: `the object is longer than ${partBytesMax} bytes` })
    this.#reset()
  }

  #fail(parts: Part<Uint8Array>[], fault: string): void {
    const isArray = this.#form === 'array'
    parts.push({ ...this.#spot(), fault: isArray ? `${fault}, ${nothingAfter}` : fault })
    if (isArray) this.#form = 'over'
    this.#reset()
  }

  #spot(): Spot {
    return { line: this.#begun, ...(this.#form === 'array' ? { item: this.#items } : {}) }
  }

  #reset(): void {
    this.#bytes.take()
    this.#depth = 0
    this.#place = 'outside'
  }
}

const nothingAfter = 'so nothing after it was read'

const isSpace = (byte: number) => byte === 0x20 || byte === 0x09 || byte === 0x0d || byte === lineFeed
