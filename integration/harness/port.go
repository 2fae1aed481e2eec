package harness

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"sync/atomic"
)

// Ports are taken below the range from which the kernel gives ports to clients (32768 and up): a listener that stops and
// starts again must find its port free.
const (
	firstPort = 20000
	portCount = 4000
)

var nextPort atomic.Uint32

// FreePort returns a port on which nobody listens. Processes that run at the same time begin at different places.
func FreePort() (int, error) {
	const perProcess = 37
	start := uint32(os.Getpid()) * perProcess
	for range portCount {
		port := firstPort + int((start+nextPort.Add(1))%portCount)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		return port, l.Close()
	}
	return 0, fmt.Errorf("no free port in %d..%d", firstPort, firstPort+portCount-1)
}
