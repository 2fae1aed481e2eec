// Package secret answers who may log in and with what password.
//
// A secret is a user name and a password. It is named by a reference, provider:reference, such as
// file:/etc/berth/orders.json or env:ORDERS_SECRET, and a [Provider] fetches it. Every provider ships the same form, a
// JSON object with the keys username and password; other keys, such as those AWS Secrets Manager adds, are ignored.
//
// A [Resolver] is the secrets of one target group. It is the engine.Credentials of the group's logins: it asks the
// providers at every login, so that a rotated secret counts from the next login on, without a restart. Providers keep
// what they fetched as long as it is good, and a [File] keeps the last good secret while the file is missing or broken:
// a login in the middle of a rotation must not fail. Taking a user away is done in the configuration.
//
// Passwords are engine.Secret and do not print; no error of this package contains any part of a secret's content.
// Everything here is safe for concurrent use.
package secret
