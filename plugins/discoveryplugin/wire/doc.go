// Package wire is the protocol between Berth and a plugin that finds targets, as protoc generates it from discovery.proto.
// Authors of plugins use package discoveryplugin.
package wire

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative discovery.proto
