package engine

import (
	"encoding/binary"
	"math/bits"
)

// HashWord returns a hash of a word of SQL, which is not empty, for tables in which scanners look for each word of a
// statement. It looks at the beginning, the end and the length. Tables keep words that the program knows, not what peers say.
func HashWord(word []byte) uint64 {
	var a, b uint64
	switch n := len(word); {
	case n >= 8:
		a, b = binary.LittleEndian.Uint64(word), binary.LittleEndian.Uint64(word[n-8:])
	case n >= 4:
		a, b = uint64(binary.LittleEndian.Uint32(word)), uint64(binary.LittleEndian.Uint32(word[n-4:]))
	default:
		a, b = uint64(word[0]), uint64(word[n/2])<<8|uint64(word[n-1])
	}
	const golden = 0x9e3779b97f4a7c15
	h := (a ^ bits.RotateLeft64(b, 29) ^ uint64(len(word))<<58) * golden
	h ^= h >> 32
	return h * golden
}
