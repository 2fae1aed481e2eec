package mysql

// restoreTexts are the last statements that brought a backend from one state to another. Sessions that take turns on it need them again
// and again.
type restoreTexts struct {
	all  [4]restoreText
	next uint8 // to be replaced
}

// maxRestoreText bounds what is kept of one, in bytes.
const maxRestoreText = 1 << 10

type restoreText struct {
	from, to *settings
	text     string // "" if nothing must be assigned
	known    bool
}

// difference is the function of that name, for settings of the held backend and those that it shall have.
func (m *Machine) difference(to *settings) string {
	s := m.state
	for i := range s.restores.all {
		if r := &s.restores.all[i]; r.known && r.to == to && r.from == s.settings {
			return r.text
		}
	}
	text := string(difference([]byte("SET "), s.settings, to, s.base))
	if len(text) <= maxRestoreText {
		r := &s.restores
		r.all[r.next] = restoreText{s.settings, to, text, true}
		r.next = (r.next + 1) % uint8(len(r.all))
	}
	return text
}
