// Package discoveryplugin is for programs that tell Berth which servers the targets of a target group are
// (discovery.source: plugin).
//
// Such a program implements [Source] and calls [Serve]:
//
//	func main() { discoveryplugin.Serve(source{}) }
//
// Berth starts it, once for each target group that names it, without any of Berth's environment; what it needs is in its
// settings. It tells who the targets are, not which of them is the writer: Berth asks the servers that. When it ends, or says
// nothing for long, it is started anew, and what it told last counts meanwhile.
//
// What it writes to its standard error, as package log does, goes to Berth's log. Its standard output belongs to the protocol, which is
// gRPC over HashiCorp's go-plugin, with certificates that both sides make anew for each start; package wire has it, for authors in
// other languages.
package discoveryplugin
