// Package hostile attacks Berth as a client that means harm would: before its login, and with a login of its own.
//
// Each attack runs against a proxy of its own, with real servers behind, while a bystander goes on asking. The test fails if the
// bystander gets an error, if the process grows by more than the attack's bound, or if connections are left when it is
// over. What the bystander waited is printed, not judged. docs/security.md has the table; BERTH_WRITE_DOCS does not write it, since the
// figures are of one machine.
package hostile
