package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// What a terminal is told (ECMA-48 section 8.3, and xterm's private modes).
const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // the other screen, no cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	topLeft     = "\x1b[H"
	endLine     = "\x1b[K\r\n"
	endScreen   = "\x1b[K\x1b[J"
)

// screen is what is drawn on. Of a terminal it has a screen of its own, and the keyboard, until it is closed. One goroutine uses it.
type screen struct {
	out     io.Writer
	live    bool // a terminal
	fd      int
	restore func() error // the keyboard
}

// newScreen takes out; quit is called when somebody at the keyboard wants to go.
func newScreen(out io.Writer, quit func()) (*screen, error) {
	s := &screen{out: out, restore: func() error { return nil }}
	f, ok := out.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return s, nil
	}
	s.live, s.fd = true, int(f.Fd())
	if in := int(os.Stdin.Fd()); term.IsTerminal(in) {
		old, err := term.MakeRaw(in)
		if err != nil {
			return nil, fmt.Errorf("terminal: %w", err)
		}
		s.restore = func() error { return term.Restore(in, old) }
		go listen(os.Stdin, quit)
	}
	if _, err := io.WriteString(out, enterScreen); err != nil {
		_ = s.restore()
		return nil, err
	}
	return s, nil
}

// listen waits for a key that means to go. It ends with the process: a read from a terminal cannot be broken off.
func listen(keys io.Reader, quit func()) {
	const interrupt, endOfInput = 0x03, 0x04 // Ctrl-C and Ctrl-D: in raw mode they are no signals
	for r := bufio.NewReader(keys); ; {
		switch k, err := r.ReadByte(); {
		case err != nil, k == 'q', k == 'Q', k == interrupt, k == endOfInput:
			quit()
			return
		}
	}
}

// size is how much of it there is; 0: any.
func (s *screen) size() (width, height int) {
	if !s.live {
		return 0, 0
	}
	width, height, err := term.GetSize(s.fd)
	if err != nil {
		return 0, 0
	}
	return width - 1, height // what fills a line leaves the cursor on its last character, which endLine would then erase
}

// show draws lines over what was there.
func (s *screen) show(lines []string) error {
	text := strings.Join(lines, "\n") + "\n\n"
	if s.live {
		text = topLeft + strings.Join(lines, endLine) + endScreen
	}
	_, err := io.WriteString(s.out, text)
	return err
}

// close gives the terminal back as it was.
func (s *screen) close() error {
	if !s.live {
		return nil
	}
	_, err := io.WriteString(s.out, leaveScreen)
	if e := s.restore(); err == nil {
		err = e
	}
	return err
}
