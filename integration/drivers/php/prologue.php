<?php
// Connects as a Laravel application does, with PDO, and stays connected until stdin ends.
//
//     prologue.php DRIVER PORT        DRIVER: pgsql, mysql
//
// The configuration is that of Laravel's config/database.php. "ready NAME VERSION, NAME VERSION" on stdout says that
// the connection is at rest.

require 'Illuminate/Database/autoload.php';

[, $driver, $port] = $argv;
$capsule = new Illuminate\Database\Capsule\Manager();
$capsule->addConnection([
    'driver' => $driver, 'host' => '127.0.0.1', 'port' => $port, 'database' => 'app', 'username' => 'app',
    'password' => 'secret', 'prefix' => '',
] + ($driver === 'pgsql'
    ? ['charset' => 'utf8', 'schema' => 'public', 'sslmode' => 'disable']
    : ['charset' => 'utf8mb4', 'collation' => 'utf8mb4_unicode_ci', 'strict' => true]));
$connection = $capsule->getConnection();
for ($i = 0; $i < 2; $i++) {
    $connection->transaction(fn () => $connection->table('berth_notes')->insert(['text' => 'laravel']));
    $connection->table('berth_notes')->where('id', 1)->get();
}
$laravel = trim((string) shell_exec("dpkg-query -Wf '\${Version}' php-illuminate-database"));
echo 'ready Laravel ', implode('.', array_slice(explode('.', $laravel), 0, 2)), ', PDO ', PHP_MAJOR_VERSION, '.', PHP_MINOR_VERSION, "\n";
stream_get_contents(STDIN);
