import type { OperationId, Random, RotationId, SecretId } from '@keyturn/core'

const digits = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/** 26 characters of Crockford's base 32 from 130 random bits. */
function crockford(random: Random): string {
  // 256 is a multiple of 32, so the low five bits are evenly spread
  return Array.from(random.bytes(26), byte => digits.charAt(byte & 31)).join('')
}

export const newSecretId = (random: Random): SecretId => `sec_${crockford(random)}` as SecretId
export const newRotationId = (random: Random): RotationId => `rot_${crockford(random)}` as RotationId
export const newOperationId = (random: Random): OperationId => `op_${crockford(random)}` as OperationId
