import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;

/** Loads files of events as they are, into the table events, and prints the rows of a query. */
public class ReadEvents {
    public static void main(String[] args) {
        SparkSession spark = SparkSession.builder().master("local[1]").appName("events")
                .config("spark.ui.enabled", false).config("spark.driver.host", "127.0.0.1").getOrCreate();
        spark.read().json(args[0]).createOrReplaceTempView("events");
        for (Row row : spark.sql(args[1]).collectAsList()) {
            System.out.println("row: " + row.mkString(" "));
        }
        spark.stop();
    }
}
