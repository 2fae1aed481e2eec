package control

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/berthdb/berth/core"
	"github.com/berthdb/berth/core/engine"
	"github.com/berthdb/berth/core/relay"
	"github.com/berthdb/berth/core/telemetry"
)

// newMetrics makes the handler of /metrics. The counters are read when they are asked for, by an OpenTelemetry producer:
// the relay path pays for an atomic, not for an instrument.
func newMetrics(build Build, source Source) (http.Handler, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	exporter, err := otelprom.New(
		otelprom.WithRegisterer(registry), otelprom.WithoutScopeInfo(), otelprom.WithoutTargetInfo(),
		otelprom.WithProducer(producer{source, build, time.Now()}),
	)
	if err != nil {
		return nil, err
	}
	// The provider is what makes the exporter collect; it has no instruments of its own.
	_ = sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{}), nil
}

// producer renders snapshots as metrics.
type producer struct {
	source Source
	build  Build
	start  time.Time
}

func (p producer) Produce(context.Context) ([]metricdata.ScopeMetrics, error) {
	b := &batch{start: p.start, now: time.Now(), index: map[string]int{}}
	s := p.source.Snapshot()
	b.gauge("berth_build_info", "What is running; always 1.", 1, attribute.NewSet(
		attribute.String("version", p.build.Version), attribute.String("commit", p.build.Commit), attribute.String("go_version", p.build.Go),
	))
	open := p.source.InTransaction()
	for _, l := range s.Listeners {
		b.listener(l, open[l.Counters])
	}
	for _, g := range s.Groups {
		b.availability(g, s.Listeners)
		for _, t := range g.Targets {
			b.target(g, t)
		}
	}
	return []metricdata.ScopeMetrics{{
		Scope: instrumentation.Scope{Name: "github.com/berthdb/berth"}, Metrics: b.metrics,
	}}, nil
}

// batch collects data points under their metrics' names.
type batch struct {
	start, now time.Time
	metrics    []metricdata.Metrics
	index      map[string]int
}

func (b *batch) listener(l core.ListenerSnapshot, open int64) {
	c := l.Counters
	labels := []attribute.KeyValue{
		attribute.String("listener", l.Name), attribute.String("target_group", l.TargetGroup), attribute.String("role", l.Role.String()),
	}
	set := attribute.NewSet(labels...)
	b.gauge("berth_client_connections", "Client connections, those in setup included.", c.ClientConnections.Value(), set)
	b.gauge("berth_client_connections_in_setup", "Client connections that have not finished their login.", c.ClientConnectionsInSetup.Value(), set)
	b.gauge("berth_client_connections_tls", "Client sessions with TLS.", c.ClientConnectionsTLS.Value(), set)
	b.gauge("berth_client_connections_no_tls", "Client sessions without TLS.", c.ClientConnectionsNoTLS.Value(), set)
	b.counter("berth_client_connections_received", "Client connections accepted.", c.ClientConnectionsReceived.Value(), set)
	b.counter("berth_client_connections_closed", "Client connections closed.", c.ClientConnectionsClosed.Value(), set)
	b.counter("berth_client_connections_setup_succeeded", "Logins that succeeded.", c.ClientConnectionsSetupSucceeded.Value(), set)
	b.counter("berth_client_connections_setup_failed_auth", "Logins refused for authentication or TLS.", c.ClientConnectionsSetupFailedAuth.Value(), set)
	b.counter("berth_query_requests", "Requests of clients.", c.QueryRequests.Value(), set)
	b.counter("berth_query_requests_tls", "Requests over TLS.", c.QueryRequestsTLS.Value(), set)
	b.counter("berth_query_requests_no_tls", "Requests without TLS.", c.QueryRequestsNoTLS.Value(), set)
	b.gauge("berth_waiting_clients", "Sessions that wait for a database connection.", c.WaitingClients.Value(), set)
	b.gauge("berth_database_connections_currently_session_pinned", "Sessions that keep their database connection.", c.SessionsPinned.Value(), set)
	b.gauge("berth_database_connections_currently_borrowed", "Database connections that sessions hold.", c.DatabaseConnectionsInSession.Value(), set)
	b.gauge("berth_database_connections_currently_in_transaction", "Database connections in a transaction.", open, set)
	b.counter("berth_session_restores", "Database connections that were brought in line with their session's state.", c.SessionRestores.Value(), set)
	b.counter("berth_connection_borrow_timeout", "Borrows that timed out.", c.ConnectionBorrowTimeout.Value(), set)
	b.counter("berth_database_connections_borrow_requests", "Borrows asked for.", c.BorrowRequests.Value(), set)
	b.counter("berth_database_connections_borrow_requests_aborted", "Borrows whose client left first.", c.BorrowRequestsAborted.Value(), set)
	b.histogram("berth_read_your_writes_wait_seconds", "Time until a target was known that had what was written before a read came.", &c.ReadsCurrent, set)
	b.counter("berth_read_your_writes_fallbacks", "Reads that used the writer because no replica had that in time.", c.ReadsAtWriter.Value(), set)
	b.counter("berth_read_your_writes_timeouts", "Reads that nothing was found for in time.", c.ReadsBehind.Value(), set)
	b.histogram("berth_query_duration_seconds", "From a request's arrival to its last answer.", &c.QueryDuration, set)
	b.histogram("berth_query_response_latency_seconds", "berth_query_duration_seconds by RDS Proxy's name.", &c.QueryDuration, set)
	b.histogram("berth_query_database_response_latency_seconds", "Of berth_query_duration_seconds, what the database and the way there took.", &c.QueryDatabaseResponse, set)
	b.histogram("berth_transactions_duration_seconds", "From getting a database connection to the end of the transaction.", &c.TransactionsDuration, set)
	b.histogram("berth_database_connections_borrow_latency_seconds", "Time to get a database connection.", &c.DatabaseConnectionsBorrow, set)
	for r := range telemetry.Refusals {
		limit := attribute.NewSet(append(labels, attribute.String("limit", telemetry.Refusal(r).String()))...)
		b.counter("berth_client_connections_refused", "Clients that a limit of the listener kept out.", c.ClientConnectionsRefused[r].Value(), limit)
	}
	for o := range telemetry.Overdues {
		limit := attribute.NewSet(append(labels, attribute.String("limit", telemetry.Overdue(o).String()))...)
		b.counter("berth_time_limits_exceeded", "Times something took longer than its limit, and was ended.", c.Overdue[o].Value(), limit)
	}
	for k := range engine.Kinds {
		reason := attribute.NewSet(append(labels, attribute.String("reason", engine.Kind(k).String()))...)
		b.counter("berth_pins", "Times a cause to pin came to a session.", c.Pins[k].Value(), reason)
		b.counter("berth_unpins", "Times a cause to pin went from a session.", c.Unpins[k].Value(), reason)
	}
}

// availability is of the roles that listeners have: 100 while a target is up for it, else 0. Its average over a time is
// RDS Proxy's AvailabilityPercentage.
func (b *batch) availability(g core.GroupSnapshot, listeners []core.ListenerSnapshot) {
	seen := map[relay.Role]bool{}
	for _, l := range listeners {
		if l.TargetGroup != g.Name || seen[l.Role] {
			continue
		}
		seen[l.Role] = true
		percent := int64(0)
		if g.Available(l.Role) {
			percent = 100
		}
		b.gauge("berth_availability_percentage", "100 while a target of the role is up, else 0.", percent, attribute.NewSet(
			attribute.String("target_group", g.Name), attribute.String("role", l.Role.String()),
		))
	}
}

func (b *batch) target(g core.GroupSnapshot, t core.TargetSnapshot) {
	c := t.Counters
	set := attribute.NewSet(attribute.String("target_group", g.Name), attribute.String("target", t.Name))
	b.gauge("berth_database_connections", "Database connections, those in setup included.", int64(t.Pool.Open), set)
	b.gauge("berth_max_database_connections_allowed", "The pool's limit.", int64(t.Pool.Max), set)
	b.gauge("berth_database_connections_with_tls", "Database connections with TLS.", c.DatabaseConnectionsWithTLS.Value(), set)
	b.counter("berth_database_connection_requests", "Database connections asked for.", c.DatabaseConnectionRequests.Value(), set)
	b.counter("berth_database_connection_requests_with_tls", "Those that used TLS.", c.DatabaseConnectionRequestsWithTLS.Value(), set)
	b.counter("berth_database_connections_setup_succeeded", "Database connections opened.", c.DatabaseConnectionsSetupSucceeded.Value(), set)
	b.counter("berth_database_connections_setup_failed", "Database connections that could not be opened.", c.DatabaseConnectionsSetupFailed.Value(), set)
}

func (b *batch) gauge(name, help string, v int64, set attribute.Set) {
	point := metricdata.DataPoint[int64]{Attributes: set, StartTime: b.start, Time: b.now, Value: v}
	i, known := b.index[name]
	if !known {
		b.add(name, help, metricdata.Gauge[int64]{DataPoints: []metricdata.DataPoint[int64]{point}})
		return
	}
	g := b.metrics[i].Data.(metricdata.Gauge[int64])
	g.DataPoints = append(g.DataPoints, point)
	b.metrics[i].Data = g
}

func (b *batch) counter(name, help string, v uint64, set attribute.Set) {
	point := metricdata.DataPoint[int64]{Attributes: set, StartTime: b.start, Time: b.now, Value: int64(v)}
	i, known := b.index[name]
	if !known {
		b.add(name, help, metricdata.Sum[int64]{
			Temporality: metricdata.CumulativeTemporality, IsMonotonic: true, DataPoints: []metricdata.DataPoint[int64]{point},
		})
		return
	}
	s := b.metrics[i].Data.(metricdata.Sum[int64])
	s.DataPoints = append(s.DataPoints, point)
	b.metrics[i].Data = s
}

func (b *batch) histogram(name, help string, h *telemetry.Histogram, set attribute.Set) {
	s := h.Snapshot()
	point := metricdata.HistogramDataPoint[float64]{
		Attributes: set, StartTime: b.start, Time: b.now, Count: s.Count, Sum: s.Sum.Seconds(),
		Bounds: telemetry.Bounds[:], BucketCounts: s.Buckets[:],
	}
	i, known := b.index[name]
	if !known {
		b.add(name, help, metricdata.Histogram[float64]{
			Temporality: metricdata.CumulativeTemporality, DataPoints: []metricdata.HistogramDataPoint[float64]{point},
		})
		return
	}
	d := b.metrics[i].Data.(metricdata.Histogram[float64])
	d.DataPoints = append(d.DataPoints, point)
	b.metrics[i].Data = d
}

func (b *batch) add(name, help string, data metricdata.Aggregation) {
	b.index[name] = len(b.metrics)
	b.metrics = append(b.metrics, metricdata.Metrics{Name: name, Description: help, Data: data})
}
