import jakarta.persistence.Entity;
import jakarta.persistence.GeneratedValue;
import jakarta.persistence.GenerationType;
import jakarta.persistence.Id;
import jakarta.persistence.Table;
import java.sql.Connection;
import java.sql.Driver;
import java.sql.DriverManager;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.hibernate.SessionFactory;
import org.hibernate.cfg.Configuration;

/**
 * Connects as an application does, with one of the JDBC drivers, and stays connected until stdin ends.
 *
 * <pre>Prologue CASE PORT</pre>
 *
 * Plain cases use the driver alone; hibernate-... cases use Hibernate over HikariCP, which takes a connection from its
 * pool, gives it back and takes it again. "ready NAME VERSION, NAME VERSION" on stdout says that it is at rest.
 */
public class Prologue {
    @Entity
    @Table(name = "berth_notes")
    public static class Note {
        @Id
        @GeneratedValue(strategy = GenerationType.IDENTITY)
        public Integer id;

        public String text;
    }

    static final Map<String, String> TITLES = Map.of("postgresql", "pgjdbc", "mysql", "Connector/J", "mariadb", "MariaDB Connector/J");

    public static void main(String[] arguments) throws Exception {
        String name = arguments[0];
        String scheme = name.substring(name.indexOf('-') + 1);
        String url = "jdbc:" + scheme + "://127.0.0.1:" + arguments[1] + "/app?"
            + (scheme.equals("postgresql") ? "sslmode=disable" : scheme.equals("mysql") ? "sslMode=DISABLED&allowPublicKeyRetrieval=true"
                : "sslMode=disable&allowPublicKeyRetrieval=true");
        List<String> used = new ArrayList<>();
        Driver driver = DriverManager.getDriver(url);
        AutoCloseable open;
        if (name.startsWith("hibernate-")) {
            used.add("Hibernate " + org.hibernate.Version.getVersionString());
            open = hibernate(url);
        } else {
            open = plain(url);
        }
        used.add(TITLES.get(scheme) + " " + driver.getMajorVersion() + "." + driver.getMinorVersion());
        System.out.println("ready " + String.join(", ", used));
        System.in.readAllBytes();
        open.close();
    }

    static Connection plain(String url) throws Exception {
        Connection connection = DriverManager.getConnection(url, "app", "secret");
        for (int i = 0; i < 12; i++) { // pgjdbc prepares by name when a statement is executed for the fifth time
            connection.setAutoCommit(false);
            try (var write = connection.prepareStatement("insert into berth_notes (text) values (?)")) {
                write.setString(1, "jdbc");
                write.executeUpdate();
            }
            connection.commit();
            connection.setAutoCommit(true);
            try (var read = connection.prepareStatement("select text from berth_notes where id = ?")) {
                read.setInt(1, i);
                read.executeQuery().next();
            }
        }
        return connection;
    }

    static SessionFactory hibernate(String url) {
        SessionFactory factory = new Configuration().addAnnotatedClass(Note.class)
            .setProperty("hibernate.connection.url", url)
            .setProperty("hibernate.connection.username", "app")
            .setProperty("hibernate.connection.password", "secret")
            .setProperty("hibernate.connection.provider_class", "hikaricp")
            .setProperty("hibernate.hikari.maximumPoolSize", "1")
            .buildSessionFactory();
        for (int i = 0; i < 2; i++) {
            factory.inTransaction(session -> {
                Note note = new Note();
                note.text = "hibernate";
                session.persist(note);
            });
            factory.inSession(session -> session.createSelectionQuery("from Prologue$Note where id = :id", Note.class).setParameter("id", 1).list());
        }
        return factory;
    }
}
