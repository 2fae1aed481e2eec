// Command example is a plugin for discovery.source: plugin, as small as one can be. Its setting "file" names a file with a target on
// each line, as NAME HOST:PORT, which it looks at again and again.
//
//	discovery:
//	  source: plugin
//	  plugin:
//	    path: /usr/local/lib/berth/example
//	    settings:
//	      - {name: file, value: /etc/berth/targets}
package main
