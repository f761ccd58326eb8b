import { describe, expect, test } from 'vitest'
import { neverSent } from './never-sent.ts'

const failed = (code: string, message = 'failed', more: object = {}) => Object.assign(new Error(message), { code, ...more })

describe('nothing was sent', () => {
  test.each([
    failed('ECONNREFUSED'),
    failed('ENOTFOUND'),
    failed('ETIMEDOUT', 'connect ETIMEDOUT', { syscall: 'connect' }),
    failed('UND_ERR_CONNECT_TIMEOUT'),
    failed('CERT_HAS_EXPIRED'),
    failed('INVALID_PURPOSE'),
    failed('UNABLE_TO_VERIFY_LEAF_SIGNATURE'),
    failed('ERR_TLS_CERT_ALTNAME_INVALID'),
    failed('ERR_SSL_WRONG_VERSION_NUMBER'),
    failed('EPROTO', 'write EPROTO 1:error:0A00010B:SSL routines:tls_validate_record_header:wrong version number'),
    failed('ECONNRESET', 'Client network socket disconnected before secure TLS connection was established'),
  ])('with %o', error => {
    expect(neverSent(error)).toBe(true)
  })
})

describe('something may have been sent', () => {
  test.each([
    failed('ECONNRESET', 'read ECONNRESET', { syscall: 'read' }),
    failed('EPIPE', 'write EPIPE', { syscall: 'write' }),
    failed('ETIMEDOUT', 'read ETIMEDOUT', { syscall: 'read' }),
    failed('UND_ERR_SOCKET'),
    failed('UND_ERR_BODY_TIMEOUT'),
    failed('ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC'),
    failed('EPROTO', 'write EPROTO error:0A000119:SSL routines:tls_get_more_records:decryption failed or bad record mac'),
    new Error('something'),
    'ECONNREFUSED',
    undefined,
  ])('with %o', error => {
    expect(neverSent(error)).toBe(false)
  })
})
