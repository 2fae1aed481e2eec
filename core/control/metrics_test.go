package control

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/relay"
	"github.com/berthdb/berth/core/target"
	"github.com/berthdb/berth/core/telemetry"
)

func scrape(t *testing.T, s Source) string {
	t.Helper()
	w := ask(t, Config{Build: Build{Version: "1.2.3", Commit: "abc", Go: "go1"}}, s, "/metrics")
	if w.Code != 200 {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestMetricsHaveTheirContractualNamesAndLabels(t *testing.T) {
	const (
		listener = `{listener="rw",role="read_write",target_group="a"}`
		targets  = `{target="t",target_group="a"}`
		reason   = `{listener="rw",reason="setting",role="read_write",target_group="a"}`
	)
	body := scrape(t, serving())
	for name, labels := range map[string]string{
		"berth_client_connections":                                 listener,
		"berth_client_connections_in_setup":                        listener,
		"berth_client_connections_tls":                             listener,
		"berth_client_connections_no_tls":                          listener,
		"berth_client_connections_received_total":                  listener,
		"berth_client_connections_closed_total":                    listener,
		"berth_client_connections_setup_succeeded_total":           listener,
		"berth_client_connections_setup_failed_auth_total":         listener,
		"berth_query_requests_total":                               listener,
		"berth_query_requests_tls_total":                           listener,
		"berth_query_requests_no_tls_total":                        listener,
		"berth_query_response_latency_seconds_count":               listener,
		"berth_query_duration_seconds_count":                       listener,
		"berth_query_database_response_latency_seconds_count":      listener,
		"berth_session_restores_total":                             listener,
		"berth_transactions_duration_seconds_count":                listener,
		"berth_waiting_clients":                                    listener,
		"berth_connection_borrow_timeout_total":                    listener,
		"berth_database_connections_borrow_latency_seconds_count":  listener,
		"berth_database_connections_borrow_requests_total":         listener,
		"berth_database_connections_borrow_requests_aborted_total": listener,
		"berth_database_connections_currently_borrowed":            listener,
		"berth_database_connections_currently_in_transaction":      listener,
		"berth_database_connections_currently_session_pinned":      listener,
		"berth_pins_total":                                         reason,
		"berth_unpins_total":                                       reason,
		"berth_database_connections":                               targets,
		"berth_max_database_connections_allowed":                   targets,
		"berth_database_connections_with_tls":                      targets,
		"berth_database_connection_requests_total":                 targets,
		"berth_database_connection_requests_with_tls_total":        targets,
		"berth_database_connections_setup_succeeded_total":         targets,
		"berth_database_connections_setup_failed_total":            targets,
		"berth_availability_percentage":                            `{role="read_write",target_group="a"}`,
		"berth_build_info":                                         `{commit="abc",go_version="go1",version="1.2.3"}`,
	} {
		if !strings.Contains(body, "\n"+name+labels+" ") {
			t.Errorf("there is no %s%s", name, labels)
		}
	}
	for _, line := range strings.Split(body, "\n") {
		if strings.HasPrefix(line, "# TYPE berth_") && strings.HasSuffix(line, " counter") != strings.Contains(line, "_total ") {
			t.Errorf("%s: counters end in _total, and nothing else does", line)
		}
	}
	if again := regexp.MustCompile(`otel_scope|target_info`).FindString(body); again != "" {
		t.Errorf("there is %s", again)
	}
}

func TestMetricsAreReadWhenTheyAreAskedFor(t *testing.T) {
	s := serving()
	c := s.snapshot.Listeners[0].Counters
	s.open = map[*telemetry.Listener]int64{c: 5}
	expect := func(line string) {
		t.Helper()
		if !strings.Contains(scrape(t, s), "\n"+line+"\n") {
			t.Errorf("there is no %s", line)
		}
	}
	const labels = `{listener="rw",role="read_write",target_group="a"}`
	expect(`berth_query_requests_total` + labels + ` 0`)
	c.QueryRequests.Inc()
	c.Pins[engine.KindSetting].Inc()
	c.QueryDuration.Observe(3 * time.Second)
	expect(`berth_query_requests_total` + labels + ` 1`)
	expect(`berth_pins_total{listener="rw",reason="setting",role="read_write",target_group="a"} 1`)
	expect(`berth_query_duration_seconds_sum` + labels + ` 3`)
	expect(`berth_query_duration_seconds_bucket{listener="rw",role="read_write",target_group="a",le="2.5"} 0`)
	expect(`berth_query_duration_seconds_bucket{listener="rw",role="read_write",target_group="a",le="5"} 1`)
	expect(`berth_query_duration_seconds_bucket{listener="rw",role="read_write",target_group="a",le="+Inf"} 1`)
	expect(`berth_database_connections_currently_in_transaction` + labels + ` 5`)
	expect(`berth_database_connections{target="t",target_group="a"} 4`)
	expect(`berth_max_database_connections_allowed{target="t",target_group="a"} 45`)
}

func TestAvailabilityIsThatOfTheRole(t *testing.T) {
	s := serving()
	expect := func(line string) {
		t.Helper()
		if !strings.Contains(scrape(t, s), "\nberth_availability_percentage"+line+"\n") {
			t.Errorf("there is no %s", line)
		}
	}
	expect(`{role="read_write",target_group="a"} 100`)
	expect(`{role="read_only",target_group="b"} 100`)
	s.snapshot.Groups[0].Targets[0].Health.Facts.ReadOnly = true
	expect(`{role="read_write",target_group="a"} 0`)
	s.snapshot.Groups[1].Targets[0].Serves = nil // it lags behind
	expect(`{role="read_only",target_group="b"} 0`)
	s.snapshot.Groups[1].Targets[0].Serves = []relay.Role{relay.ReadOnly}
	expect(`{role="read_only",target_group="b"} 100`)
	s.snapshot.Groups[1].Targets[0].Health.State = target.Unavailable
	expect(`{role="read_only",target_group="b"} 0`)
}
