package engine

import "sync"

// SharedStrings keeps one copy of what many sessions are called by: users, databases, applications, and what their keys say. It never
// forgets, so it is bounded, and holds only what somebody logged in with. Its zero value is empty; any goroutine may use it.
type SharedStrings struct {
	mu    sync.Mutex
	known map[string]string
}

const (
	maxSharedStrings = 1 << 10
	maxSharedLength  = 128 // bytes; longer ones are not shared
)

// Share returns a string that is the same, and used by others too where there is room for it.
func (s *SharedStrings) Share(text string) string {
	if text == "" || len(text) > maxSharedLength {
		return text
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if same, ok := s.known[text]; ok {
		return same
	}
	if s.known == nil {
		s.known = make(map[string]string)
	}
	if len(s.known) < maxSharedStrings {
		s.known[text] = text
	}
	return text
}
