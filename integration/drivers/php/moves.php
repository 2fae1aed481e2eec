<?php
// Asks for the last value of a sequence as PDO does, outside of transactions, and says how often that was refused.
//
//     moves.php PORT

[, $port] = $argv;
$pdo = new PDO("pgsql:host=127.0.0.1;port=$port;dbname=app;sslmode=disable", 'app', 'secret', [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
$refused = 0;
for ($i = 0; $i < 20; $i++) {
    $text = uniqid('pdo', true);
    $insert = $pdo->prepare('insert into berth_notes (text) values (?)');
    $insert->execute([$text]);
    try {
        $id = $i % 2 ? $pdo->lastInsertId() : $pdo->lastInsertId('berth_notes_id_seq');
    } catch (PDOException $e) {
        if ($e->getCode() !== '55000') {
            throw $e;
        }
        $refused++;
        continue;
    }
    $select = $pdo->prepare('select text from berth_notes where id = ?');
    $select->execute([$id]);
    if ($select->fetchColumn() !== $text) {
        fwrite(STDERR, "$id is not the last one\n");
        exit(1);
    }
}
echo $refused;
