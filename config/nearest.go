package config

import "strings"

// nearestOf returns the candidate with the smallest edit distance to word, and whether word is likely a misspelling or
// the beginning of it. Likely ones come first, and the first of equals. There must be a candidate.
func nearestOf(word string, candidates []string) (nearest string, plausible bool) {
	// Only keys of some plausible length are compared: the distance is quadratic.
	const longest = 64
	if len(word) > longest {
		return candidates[0], false
	}
	word = strings.ReplaceAll(strings.ToLower(word), "-", "_")
	best := -1
	for _, c := range candidates {
		d := editDistance(word, c)
		likely := d <= max(1, min(len(word), len(c))/3) || len(word) >= 3 && strings.HasPrefix(c, word)
		if best < 0 || likely && !plausible || likely == plausible && d < best {
			nearest, best, plausible = c, d, likely
		}
	}
	return nearest, plausible
}

// editDistance counts the insertions, deletions, substitutions and swaps of neighbours (optimal string alignment)
// between two strings, in bytes.
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
