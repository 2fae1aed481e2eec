package mysql

import "github.com/berthdb/berth/core/engine"

// lexicon finds words. Most that are looked for are names of somebody's tables and columns, which are not there: a table of hashes says so
// in a quarter of the time that a map takes, and each word of each statement is looked for.
type lexicon struct {
	all   []entry
	slots [1 << lexiconBits]slot
}

// lexiconBits makes a table of three times as many slots as there are words.
const lexiconBits = 11

type entry struct {
	name string // in upper case
	word word
}

// slot leads to an entry, if used: the first of its hash, unless others were there before, behind which it is.
type slot struct {
	tag   uint16 // more of the hash
	index uint16 // of the entry, from 1; 0 for none
}

// hashOf returns the place of a text, which is not empty, and its tag.
func hashOf(text []byte) (place uint32, tag uint16) {
	h := engine.HashWord(text)
	return uint32(h >> (64 - lexiconBits)), uint16(h >> 32)
}

// add takes in a word that is not there. There is always room.
func (l *lexicon) add(name string, w word) {
	place, tag := hashOf([]byte(name))
	for l.slots[place].index != 0 {
		place = (place + 1) % uint32(len(l.slots))
	}
	l.all = append(l.all, entry{name, w})
	l.slots[place] = slot{tag, uint16(len(l.all))}
}

// find returns the word that is written so, in upper case, and the zero word if there is none.
func (l *lexicon) find(text []byte) word {
	if len(text) == 0 {
		return word{}
	}
	place, tag := hashOf(text)
	for {
		s := l.slots[place]
		if s.index == 0 {
			return word{}
		}
		if s.tag == tag {
			if e := &l.all[s.index-1]; e.name == string(text) {
				return e.word
			}
		}
		place = (place + 1) % uint32(len(l.slots))
	}
}
