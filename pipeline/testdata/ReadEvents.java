import java.security.MessageDigest;
import java.util.HexFormat;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.StructField;

/**
 * Does statements of SQL, which are separated by semicolons, for each argument, and prints the rows
 * of the last one and the columns of the table events. Of a statement that gives pictures, it prints
 * their hashes.
 */
public class ReadEvents {
    public static void main(String[] args) throws Exception {
        SparkSession spark = SparkSession.builder().master("local[1]").appName("events")
                .config("spark.ui.enabled", false).config("spark.driver.host", "127.0.0.1")
                .config("spark.sql.session.timeZone", "UTC").config("spark.sql.shuffle.partitions", 1).getOrCreate();
        for (String script : args) {
            System.out.println("begin");
            String[] statements = script.strip().split(";");
            for (int i = 0; i < statements.length; i++) {
                for (Row row : spark.sql(statements[i]).collectAsList()) {
                    if (row.size() == 1 && row.get(0) instanceof byte[]) {
                        byte[] sum = MessageDigest.getInstance("SHA-256").digest((byte[]) row.get(0));
                        System.out.println("row: " + HexFormat.of().formatHex(sum));
                    } else if (row.size() > 0) {
                        System.out.println("row: " + row.mkString(" "));
                    }
                }
            }
            for (StructField field : spark.table("events").schema().fields()) {
                System.out.println("column: " + field.name() + " " + field.dataType().sql());
            }
        }
        spark.stop();
    }
}
