# Connects as a Rails application does, and stays connected until stdin ends.
#
#     prologue.rb ADAPTER PORT        ADAPTER: postgresql, mysql2
#
# Active Record takes a connection from its pool, reads and writes, gives it back, and does so again.
# "ready NAME VERSION, NAME VERSION" on stdout says that the connection is at rest. Versions are cut to what Debian keeps.

require "active_record"

adapter, port = ARGV
ActiveRecord::Base.establish_connection(
  adapter: adapter, host: "127.0.0.1", port: port.to_i, username: "app", password: "secret", database: "app", pool: 1,
  **(adapter == "postgresql" ? { sslmode: "disable" } : { ssl_mode: :disabled })
)

class Note < ActiveRecord::Base
  self.table_name = "berth_notes"
end

2.times do
  ActiveRecord::Base.connection_pool.with_connection do
    note = nil
    Note.transaction { note = Note.create!(text: "rails") }
    raise "another text" unless Note.find(note.id).text == "rails"
    Note.where(id: 1).to_a
  end
  ActiveRecord::Base.clear_active_connections!
end

minor = ->(version) { version.to_s[/\A\d+\.\d+/] }
gem = adapter == "postgresql" ? ["pg", PG::VERSION] : ["mysql2", Mysql2::VERSION]
puts "ready Active Record #{minor[ActiveRecord.version]}, #{gem[0]} #{minor[gem[1]]}"
$stdout.flush
$stdin.read
