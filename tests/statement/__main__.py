from tests.statement.page import PAGE, sections
from tests.unit.report.report_page import written

if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), sections()), encoding="utf-8")
