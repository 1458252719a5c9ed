"""Plans that pretend are told so, each by its kind; and of right plans nothing is said."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.patterns.linting import (
    TOOLS,
    Call,
    analyze,
    calculate,
    delete,
    find,
    listing,
    query,
    read,
    said_of,
    save,
    stub,
    table,
    tell,
    write,
)

from forethought_patterns import Brief, Plan, Recipe, Step
from forethought_patterns.lean import lean_steps
from forethought_patterns.lints import lints
from forethought_patterns.recipe import library
from forethought_tools import JSON, Registry, ToolError
from forethought_tools.arithmetic import FUNCTIONS

pytestmark = pytest.mark.anyio
SUMS = query("SELECT project, SUM(hours) AS hours FROM 'time.csv' GROUP BY project", "time.csv")
PRETENDING: list[tuple[str, str, str, str, list[Call], str]] = [
    # kind, goal, files, new files, plan, what is said
    ("a result that nothing uses", "Sum the hours of time.csv per project into hours.md", "time.csv", "hours.md",
     [SUMS, write("The hours per project", "{{1}}"), save("hours.md", "Hours\n\n{{1}}")],
     "step 2: nothing uses the result of this write. Use {{2}} where it is meant"),
    ("a result that nothing uses", "Replace the greeting in a.txt by the one in b.txt", "a.txt b.txt", "",
     [read("a.txt"), read("b.txt"), save("a.txt", "{{2}}")],
     "step 1: nothing uses the result of this read_file"),
    ("the reference leads to the wrong step", "Which ids of ids.txt are missing in scan.csv? Write them to missing.txt",
     "ids.txt scan.csv", "missing.txt",
     [read("ids.txt"), query("SELECT id FROM 'scan.csv' WHERE id NOT IN (SELECT text FROM 'ids.txt')", "scan.csv"),
      save("missing.txt", "{{1}}")],
     "it saves {{1}}, a file as it was read, and nothing uses the result of step 2. Most probably {{2}} is meant"),
    ("the reference leads to the wrong step", "Sort names.csv by city and save it as sorted.csv",
     "names.csv", "sorted.csv",
     [query("SELECT * FROM names", "names.csv"), query("SELECT * FROM names ORDER BY city", "names.csv"),
      table("sorted.csv", "{{1.rows}}")],
     "step 3: it saves {{1.rows}}, a file as it was read"),
    ("a text passed on as it was read", "Make a table of who does what in notes.txt in tasks.md", "notes.txt",
     "tasks.md",
     [query("SELECT * FROM 'notes.txt'", "notes.txt"), table("tasks.md", "{{1}}")],
     "step 2: it saves {{1}}, a text as it was read. Use analyze or write"),
    ("a text passed on as it was read", "List the tasks of notes.txt in tasks.md", "notes.txt", "tasks.md",
     [read("notes.txt"), save("tasks.md", "{{1}}")],
     "step 2: it saves {{1}}, a text as it was read"),
    ("a join that is none", "Who of a.csv has not paid? b.csv. Into c.csv", "a.csv b.csv", "c.csv",
     [query("SELECT a.name FROM 'a.csv' a LEFT JOIN 'b.csv' AS b ON a.id = b.id WHERE b.paid IS NOT NULL", "a.csv"),
      table("c.csv", "{{1}}")],
     "its LEFT JOIN keeps rows without a partner, and its WHERE leaves them out again. Leave b.paid is not null out"),
    ("a question about nothing", "What was decided in minutes.txt?", "minutes.txt", "",
     [read("minutes.txt"), analyze("What was decided?")],
     "step 2: a model is asked about nothing: it is given no result, and nothing uses that of step 1. Give it {{1}}"),
    ("a question about nothing", "Summarise minutes.txt in summary.txt", "minutes.txt", "summary.txt",
     [read("minutes.txt"), write("Summary of the minutes"), save("summary.txt", "{{2}}")],
     "step 2: a model is asked about nothing"),
    ("calculate of names", "Mean of temp in t.csv", "t.csv", "", [read("t.csv"), calculate("mean(temp)")],
     "step 2: calculate knows no 'temp'. Work on rows with query_table"),
    ("calculate of names", "How long is a.txt?", "a.txt", "", [read("a.txt"), calculate("length(text)")],
     "step 2: calculate knows no 'length'"),
    ("calculate of words", "Largest files here", "", "", [listing("*"), calculate("size DESC")],
     "step 2: 'size DESC' is no arithmetic"),
    ("calculate of SQL", "Sum of a in t.csv", "t.csv", "", [read("t.csv"), calculate("SELECT SUM(a) FROM t")],
     "step 2: 'SELECT SUM(a) FROM t' is no arithmetic"),
    ("calculate of nothing", "What is the total of t.csv?", "t.csv", "", [SUMS, read("t.csv"), calculate("42")],
     "step 3: there is nothing to work out in '42'"),
    ("calculate of rows", "Sum of a in t.csv", "t.csv", "",
     [query("SELECT a FROM t", "t.csv"), calculate("sum({{1.rows}})")],
     "step 2: {{1.rows}} are rows, and calculate takes numbers. Refer to one, as {{1.rows.0.NAME}}"),
    ("a query of its own words", "Who builds it, says a.txt?", "a.txt", "",
     [query("SELECT 'the council' AS who, 'it''s 3' AS n FROM 'a.txt'"), ("tell", {"text": "{{1}}"})],
     "step 1: it selects only texts of its own, and reads nothing"),
    ("a query of its own words", "Who builds it, says a.txt?", "a.txt", "",
     [read("a.txt"), query("SELECT 'the council'"), ("tell", {"text": "{{2}} {{1}}"})],
     "step 2: it selects only texts of its own, and reads nothing"),
    ("JSON in a CSV file", "Filter in.csv into out.csv", "in.csv", "out.csv",
     [query("SELECT * FROM 'in.csv' WHERE a > 1", "in.csv"), save("out.csv", "{{1}}")],
     "{{1}} are rows, which write_file writes as JSON, and not as a .csv file holds them. Save {{1}} with write_table"),
    ("JSON in a CSV file", "Filter in.csv into out.csv", "in.csv", "out.csv",
     [query("SELECT a FROM 'in.csv'", "in.csv"), save("out.csv", "a\n{{1.rows}}")],
     "step 2: rows inside a text are no rows of a .csv file"),
    ("JSON in a CSV file", "Convert products.json to products.csv", "products.json", "products.csv",
     [read("products.json"), save("products.csv", "{{1}}")],
     "step 2: {{1}} is the text of a .json file, and no .csv"),
    ("JSON in a CSV file", "Put two rows into out.csv", "", "out.csv", [save("out.csv", [{"a": 1}, {"a": 2}])],
     "step 1: what is written is JSON, and not what a .csv file holds"),
    ("CSV that a model words", "Convert products.json to products.csv", "products.json", "products.csv",
     [query("SELECT * FROM 'products.json'", "products.json"), write("CSV of the products", "{{1}}"),
      save("products.csv", "{{2}}")],
     "step 3: {{2}} is a text that a model words, where the rows themselves are wanted. Save {{2}} with write_table"),
    ("no JSON in a JSON file", "Put name and age of Bo, who is 7, into bo.json", "", "bo.json",
     [save("bo.json", "name: Bo\nage: 7")], "step 1: what is written is no JSON"),
    ("no JSON in a JSON file", "Convert a.csv to a.json", "a.csv", "a.json", [read("a.csv"), save("a.json", "{{1}}")],
     "step 2: {{1}} is the text of a .csv file, and no JSON"),
    ("an answer of ours in a JSON file", "Convert a.csv to a.json", "a.csv", "a.json",
     [query("SELECT * FROM a", "a.csv"), save("a.json", "{{1}}")],
     "step 2: {{1}} is the answer of query_table, of which only the rows are wanted"),
    ("text in a workbook", "Save the sums of time.csv as sums.xlsx", "time.csv", "sums.xlsx",
     [SUMS, save("sums.xlsx", "{{1}}")],
     "step 2: write_file writes text, and a .xlsx file is none. Save {{1}} with write_table"),
    ("text in a PDF", "Write a letter to letter.pdf", "", "letter.pdf",
     [write("A letter"), save("letter.pdf", "{{1}}")],
     "step 2: write_file writes text, and a .pdf file is none"),
    ("made-up data", "Sum the hours of time.csv per project into hours.md", "time.csv", "hours.md",
     [SUMS, save("hours.md", "| Atlas | 12 |\n| Beacon | 7 |")],
     "step 2: what it says was made up before anything was read. Use what the steps before it found: {{1}}"),
    ("made-up data", "How many rows has time.csv?", "time.csv", "",
     [query("SELECT COUNT(*) AS n FROM time", "time.csv"), tell("It has 12 rows.")],
     "step 2: what it says was made up before anything was read"),
    ("a result that nothing uses", "How many rows have a.csv and b.csv?", "a.csv b.csv", "",
     [query("SELECT COUNT(*) AS n FROM a", "a.csv"), query("SELECT COUNT(*) AS n FROM b", "b.csv"),
      tell("a.csv has {{1.rows.0.n}} rows, and b.csv as well.")], "step 2: nothing uses the result of this"),
    ("a placeholder", "Write a letter to Ms Hale in letter.txt", "", "letter.txt",
     [save("letter.txt", "Dear Ms Hale,\n\n[insert the text here]\n\nYours\n[Your Name]")],
     "step 1: '[insert the text here]' stands for something that nothing fills in"),
    ("a placeholder", "Describe the project in README.md", "", "README.md", [save("README.md", "# Project\n\nTODO")],
     "step 1: 'TODO' stands for something"),
    ("a placeholder", "List the members in list.txt", "", "list.txt", [save("list.txt", "Ann\nBo\n...")],
     "step 1: '...' stands for something"),
    ("a placeholder", "Save a note that the shop is closed", "", "", [save("path/to/note.txt", "The shop is closed")],
     "step 1: 'path/to/' stands for something"),
    ("a new file that nothing writes", "Sum time.csv into sums.md", "time.csv", "sums.md", [SUMS],
     "plan: the goal names sums.md, and no step writes it. Add a step that writes sums.md"),
    ("an input that nothing uses", "Join a.csv with b.csv into c.csv", "a.csv b.csv", "c.csv",
     [query("SELECT x FROM a", "a.csv"), table("c.csv", "{{1}}")], "plan: the goal names b.csv, and no step uses it"),
    ("an input that only a model is told of", "Put a.md and b.md together into all.md", "a.md b.md", "all.md",
     [write("a.md, and then b.md"), save("all.md", "{{1}}")], "plan: the goal names a.md, and no step uses it"),
    ("an input that only a model is told of", "Put Li for NAME in letter.txt, as li.txt", "letter.txt", "li.txt",
     [read("letter.txt"), write("letter.txt with Li for NAME", "Dear Li"), save("li.txt", "{{2}}")],
     "step 1: nothing uses the result of this read_file"),
    ("an original that is changed with its copy", "In a.txt put Li for NAME and save it as li.txt", "a.txt", "li.txt",
     [("edit_file", {"path": "a.txt", "old": "NAME", "new": "Li"}),
      ("copy_file", {"source": "a.txt", "destination": "li.txt"})],
     "step 2: step 1 changes this file before, so the original and the copy are the same. Copy first"),
    ("another folder", "Copy each .md file in the folder docs into copies", "", "",
     [("copy_file", {"source": "docs/a.md", "destination": "docs/copy_a.md"})],
     "plan: the goal wants something in copies, and no step puts anything there. Use paths such as copies/NAME"),
    ("another folder", "Please move the pictures to a new folder Album, then tell me how many there were.", "", "",
     [("move_file", {"source": "a.png", "destination": "pictures/a.png"}), tell("One.")],
     "plan: the goal wants something in Album"),
    ("nothing is deleted", "Join a.csv and b.csv into c.csv, then delete a.csv", "a.csv b.csv", "c.csv",
     [query("SELECT * FROM a JOIN b USING (id)", "a.csv", "b.csv"), table("c.csv", "{{1}}")],
     "plan: the goal asks to delete a file, and no step does. Add a step with delete_file or move_file or run_command"),
    ("nothing is deleted", "Please delete the .bak files in this folder, and nothing else.", "", "", [listing("*.bak")],
     "plan: the goal asks to delete a file"),
    ("nothing is deleted", "The old files should be removed", "", "", [listing("*")], "the goal asks to delete a file"),
    ("nothing is renamed", "Rename report.txt to final.txt", "report.txt", "final.txt",
     [read("report.txt"), save("final.txt", "{{1}}")], "plan: the goal asks to rename or move a file"),
    ("nothing is moved", "Move all .log files to archive/", "", "", [listing("*.log")],
     "plan: the goal asks to rename or move a file"),
    ("nothing is copied", "Copy a.txt to b.txt", "a.txt", "", [read("a.txt")], "plan: the goal asks to copy a file"),
    ("nothing is translated", "Translate letter.txt into French and save it as lettre.txt", "letter.txt", "lettre.txt",
     [read("letter.txt"), save("lettre.txt", "{{1}}")], "plan: the goal asks to word something anew"),
    ("nothing is summed up", "Summarise minutes.txt in summary.txt", "minutes.txt", "summary.txt",
     [read("minutes.txt"), save("summary.txt", "{{1}}")], "plan: the goal asks to sum something up in words"),
    ("nothing is counted", "How many lines has app.log?", "app.log", "", [read("app.log")],
     "plan: the goal asks to count, and no step does. Add a step with"),
    ("nothing is counted", "Count the words of essay.txt and write the number to n.txt", "essay.txt", "n.txt",
     [read("essay.txt"), analyze("How many words?", "{{1}}"), save("n.txt", "{{2}}")], "plan: the goal asks to count"),
    ("nothing is worked out", "For each station in t.csv I need mean and deviation of temp_c in s.md", "t.csv", "s.md",
     [read("t.csv"), write("Mean and deviation per station", "{{1}}"), save("s.md", "{{2}}")],
     "plan: the goal asks to work out numbers, and no step does"),
    ("nothing is sorted", "Sort names.txt into sorted.txt", "names.txt", "sorted.txt",
     [read("names.txt"), save("sorted.txt", "{{1}}")], "plan: the goal asks to sort"),
    ("doubles stay", "Remove the duplicates from list.csv, save as clean.csv", "list.csv", "clean.csv",
     [read("list.csv"), save("clean.csv", "{{1}}")], "plan: the goal asks to remove what is there twice"),
    ("nothing is worked out", "What's the average order value in orders.csv?", "orders.csv", "", [read("orders.csv")],
     "plan: the goal asks to work out numbers"),
    ("a result that nothing uses", "Could you please write the gist of a.txt over b.txt?", "a.txt b.txt", "",
     [read("a.txt"), read("b.txt"), save("b.txt", "{{2}}")], "step 1: nothing uses the result of this read_file"),
    ("nothing is sent", "Sum time.csv and mail the result to bo@example.org", "time.csv", "", [SUMS],
     "plan: the goal asks to send mail, and no step does. Add a step with run_command or send_email"),
]  # fmt: skip # a table

RIGHT: list[tuple[str, str, str, list[Call]]] = [
    # goal, files, new files, plan
    ("Sum the hours of time.csv per project into hours.md", "time.csv", "hours.md", [SUMS, table("hours.md", "{{1}}")]),
    ("Sum the hours of time.csv per project into hours.md", "time.csv", "hours.md",
     [SUMS, write("A note with the hours", "{{1}}"), save("hours.md", "Hours\n\n{{2}}")]),
    ("Sum the hours per project in time.csv in hours.md and tell me the total", "time.csv", "hours.md",
     [SUMS, table("hours.md", "{{1}}"), query("SELECT SUM(hours) AS total FROM time", "time.csv")]),
    ("How many ERROR lines and how many WARN lines are in app.log? Just tell me the two numbers.", "app.log", "",
     [find("ERROR", pattern="app.log"), find("WARN", pattern="app.log")]),
    ("How many lines has a.txt?", "a.txt", "", [("text_stats", {"text": "{{2.x}}"}), read("a.txt")]),
    ("How many people came to the meeting in minutes.txt?", "minutes.txt", "",
     [read("minutes.txt"), analyze("How many people came?", "{{1}}")]),
    ("How many days are there from the begin to the end of the lease in contract.txt?", "contract.txt", "",
     [read("contract.txt"), analyze("When does it begin, and end?", "{{1}}"), calculate("598 + 1")]),
    ("What is in a.txt, and what in b.txt?", "a.txt b.txt", "", [read("a.txt"), read("b.txt")]),
    ("Compare a.txt with b.txt", "a.txt b.txt", "",
     [read("a.txt"), read("b.txt"), analyze("What differs?", "{{1}} {{2}}")]),
    ("What does the word mean in notes.txt mean for us?", "notes.txt", "", [read("notes.txt"), analyze("?", "{{1}}")]),
    ("Which customers of shop.csv have spent the most? Save name and total to best.csv", "shop.csv", "best.csv",
     [query("SELECT name, SUM(total) AS total FROM shop GROUP BY name ORDER BY 2 DESC LIMIT 3", "shop.csv"),
      table("best.csv", "{{1}}")]),
    ("Join orders.csv with customers.csv and save that as named.csv", "orders.csv customers.csv", "named.csv",
     [query("SELECT * FROM orders JOIN customers ON id = customer", "orders.csv", "customers.csv"),
      table("named.csv", "{{1}}")]),
    ("Convert products.json to products.csv", "products.json", "products.csv",
     [query("SELECT * FROM products", "products.json"), table("products.csv", "{{1}}")]),
    ("Convert a.csv to a.json", "a.csv", "a.json", [query("SELECT * FROM a", "a.csv"), save("a.json", "{{1.rows}}")]),
    ("Save the sums of time.csv as sums.xlsx", "time.csv", "sums.xlsx", [SUMS, table("sums.xlsx", "{{1}}")]),
    ("Write total and share to r.json from time.csv", "time.csv", "r.json",
     [SUMS, save("r.json", '{"total": {{1.rows.0.hours}}, "of": "{{1.rows.0.project}}"}')]),
    ("Put {\"a\": 1} into a.json", "", "a.json", [save("a.json", {"a": 1})]),
    ("Put 1 and 2 into out.csv under the header n", "", "out.csv", [save("out.csv", "n\n1\n2\n")]),
    ("Translate the descriptions in items.csv into German, save as items_de.csv", "items.csv", "items_de.csv",
     [read("items.csv"), write("The same CSV with German descriptions", "{{1}}"), save("items_de.csv", "{{2}}")]),
    ("Label each message of feedback.csv by mood, save as moods.csv sorted by mood", "feedback.csv", "moods.csv",
     [query("SELECT * FROM feedback ORDER BY mood", "feedback.csv"), write("CSV with a column mood", "{{1}}"),
      save("moods.csv", "{{2}}")]),
    ("Pull all addresses out of mails.txt into emails.csv, no duplicates", "mails.txt", "emails.csv",
     [read("mails.txt"), write("CSV with header email, each address once", "{{1}}"), save("emails.csv", "{{2}}")]),
    ("Sort names in guests.txt alphabetically and remove the doubles, result in clean.txt", "guests.txt", "clean.txt",
     [query("SELECT DISTINCT text FROM 'guests.txt' ORDER BY 1", "guests.txt"), table("clean.txt", "{{1}}")]),
    ("Delete old.md", "old.md", "", [delete("old.md")]),
    ("Delete the last row of a.csv", "a.csv", "",
     [query("SELECT * FROM a LIMIT 9", "a.csv"), table("a.csv", "{{1}}")]),
    ("Remove the duplicate rows from a.csv and save it as b.csv", "a.csv", "b.csv",
     [query("SELECT DISTINCT * FROM a", "a.csv"), table("b.csv", "{{1}}")]),
    ("Remove the header line of a.csv, in place", "a.csv", "",
     [query("SELECT * FROM a", "a.csv"), write("The same without header", "{{1}}"), save("a.csv", "{{2}}")]),
    ("Delete all columns but id in a.csv", "a.csv", "", [query("SELECT id FROM a", "a.csv"), table("a.csv", "{{1}}")]),
    ("List the files that I could delete, but do not delete any files", "", "", [listing("**/*.tmp")]),
    ("Summarise a.txt in b.txt. Don't delete or rename any file.", "a.txt", "b.txt",
     [read("a.txt"), write("Summary", "{{1}}"), save("b.txt", "{{2}}")]),
    ("Rename the column total to sum in a.csv", "a.csv", "",
     [query("SELECT total AS sum FROM a", "a.csv"), table("a.csv", "{{1}}")]),
    ("Rename report.txt to final.txt", "report.txt", "final.txt",
     [("move_file", {"source": "report.txt", "destination": "final.txt"})]),
    ("Rename report.txt to final.txt", "report.txt", "final.txt",
     [read("report.txt"), save("final.txt", "{{1}}"), delete("report.txt")]),
    ("Move all .log files to archive/", "", "", [("run_command", {"command": "mv *.log archive/"})]),
    ("Copy a.txt to b.txt", "a.txt", "b.txt", [read("a.txt"), save("b.txt", "{{1}}")]),
    ("Copy a.txt to b.txt and count its words for me", "a.txt", "b.txt",
     [read("a.txt"), save("b.txt", "{{1}}"), ("text_stats", {"text": "{{1}}"})]),
    ("Copy the second column of a.csv into b.csv", "a.csv", "b.csv",
     [query("SELECT b FROM a", "a.csv"), table("b.csv", "{{1}}")]),
    ("Make a list of all TODO comments in the .py files under src. Put it in todo.md", "", "todo.md",
     [find("TODO", pattern="src/**/*.py"), save("todo.md", "# TODO comments\n\n{{1.matches}}")]),
    ("Fill in the placeholders in template.txt with order.json and save the letter as letter.txt",
     "template.txt order.json", "letter.txt",
     [read("template.txt"), read("order.json"), write("The letter, filled in", "{{1}} {{2}}"),
      save("letter.txt", "{{3}}")]),
    ("Translate letter.txt into French and save it as lettre.txt", "letter.txt", "lettre.txt",
     [read("letter.txt"), write("The same in French", "{{1}}"), save("lettre.txt", "{{2}}")]),
    ("Draft a short letter to Bo in bo.txt saying that I am ill", "", "bo.txt",
     [save("bo.txt", "Dear Bo, I am ill and cannot come tomorrow. Please begin without me. Yours, A.")]),
    ("Delete the draft files draft1.txt and draft2.txt", "draft1.txt draft2.txt", "",
     [delete("draft1.txt"), delete("draft2.txt")]),
    ("Send me the gist of notes.txt", "notes.txt", "", [read("notes.txt"), analyze("What is the gist?", "{{1}}")]),
    ("Write a letter to send to our customers about the sale, in letter.txt", "", "letter.txt",
     [write("A letter about the sale"), save("letter.txt", "{{1}}")]),
    ("Sum time.csv and mail the result to bo@example.org", "time.csv", "",
     [SUMS, ("send_email", {"to": ["bo@example.org"], "subject": "Hours", "body": "{{1}}"})]),
    ("Who of time.csv is in fees.csv? Name and email in out.csv", "time.csv fees.csv", "out.csv",
     [query("SELECT name, email FROM 'time.csv' WHERE id IN (SELECT id FROM 'fees.csv')", "time.csv", "fees.csv"),
      table("out.csv", "{{1}}")]),
    ("List all email addresses in mails.txt", "mails.txt", "",
     [read("mails.txt"), analyze("Which addresses?", "{{1}}")]),
    ("Work out net, 19 % VAT and gross of items.csv, and write the three amounts to invoice.md",
     "items.csv", "invoice.md",
     [query("SELECT SUM(quantity * price) AS net FROM items", "items.csv"), calculate("{{1.rows.0.net}} * 0.19"),
      calculate("round({{1.rows.0.net}} * 1.19, 2)"),
      save("invoice.md", "Net {{1.rows.0.net}}, VAT {{2}}, gross {{3}}")]),
    ("How many rows has time.csv?", "time.csv", "",
     [query("SELECT COUNT(*) AS n FROM time", "time.csv"), tell("It has {{1.rows.0.n}} rows.")]),
    ("Sum time.csv into sums.md, and say when it is done", "time.csv", "sums.md",
     [SUMS, table("sums.md", "{{1}}"), tell("It is done.")]),
    ("What is 17 % of 2340?", "", "", [calculate("2340 * 17 / 100")]),
    ("Count up to three in three.txt", "", "three.txt", [save("three.txt", "1\n2\n3")]),
    ("Is pi larger than 3?", "", "", [calculate("pi - 3")]),
    ("Which are the three largest files?", "", "",
     [listing("**/*"), ("query_table", {"sql": "SELECT * FROM files", "tables": {"files": "{{1.files}}"}})]),
    ("Update summary.md with what is new in notes.txt", "summary.md notes.txt", "",
     [read("summary.md"), read("notes.txt"), write("Both in one", "{{1}} {{2}}"), save("summary.md", "{{3}}")]),
    ("Write a letter like old.txt into new.txt, but leave config.txt as it is", "old.txt config.txt", "new.txt",
     [read("old.txt"), write("A letter like this", "{{1}}"), save("new.txt", "{{2}}")]),
    ("Replace Monday by Tuesday in plan.txt", "plan.txt", "",
     [("edit_file", {"path": "plan.txt", "old": "Monday", "new": "Tuesday"})]),
    ("Write a haiku about rain to rain.txt and show me what is in a.txt", "a.txt", "rain.txt",
     [read("a.txt"), write("A haiku about rain"), save("rain.txt", "{{2}}")]),
    ("Save the sums of time.csv in s.csv and look whether it was written", "time.csv", "s.csv",
     [SUMS, table("s.csv", "{{1}}"), read("s.csv")]),
    ("Sum sales per region over all the CSV files in sales/, into total.md", "", "total.md",
     [query("SELECT region, SUM(n) AS n FROM 'sales/*.csv' GROUP BY region"), table("total.md", "{{1}}")]),
    ("Count the rows of jan.csv and feb.csv", "jan.csv feb.csv", "",
     [query("SELECT COUNT(*) AS n FROM '*.csv'")]),
    ("Update the deal of Bo in the CRM, and delete his old files there", "", "", [("crm/update", {"deal": "Bo"})]),
    ("Run the tests and save what they say in log.txt", "", "log.txt",
     [("run_command", {"command": "pytest > log.txt"})]),
    ("Write a Python stub for add to stub.py", "", "stub.py", [save("stub.py", "def add(a, b):\n    ...\n")]),
    ("Start a module cart.py", "", "cart.py", [save("cart.py", "# TODO: prices\n")]),
    ("Put the link of the shop into link.md", "", "link.md", [save("link.md", "[Add to cart](https://shop.test)")]),
    ("Put the address https://example.com into link.txt", "", "link.txt", [save("link.txt", "https://example.com")]),
    ("", "", "", [read("a.txt"), save("b.txt", "{{1}}!")]),
]  # fmt: skip # a table


@pytest.mark.parametrize(
    ("goal", "files", "new", "steps", "said"),
    [each[1:] for each in PRETENDING],
    ids=[f"{each[0]} - {each[1]}"[:60] for each in PRETENDING],
)
async def test_a_plan_that_pretends_is_told_so(goal: str, files: str, new: str, steps: list[Call], said: str) -> None:
    found = await said_of(goal, steps, files, new)
    assert any(said in each for each in found), found


@pytest.mark.parametrize(("goal", "files", "new", "steps"), RIGHT, ids=[each[0][:60] for each in RIGHT])
async def test_nothing_is_said_of_a_right_plan(goal: str, files: str, new: str, steps: list[Call]) -> None:
    assert await said_of(goal, steps, files, new) == []


@pytest.mark.parametrize("recipe", library(), ids=lambda recipe: str(recipe.name))
async def test_nothing_is_said_of_a_recipe(recipe: Recipe) -> None:
    if "days" not in FUNCTIONS and re.search(r"calculate\(.*'", recipe.script):
        pytest.skip("calculate knows no dates and units here")
    files = {name: shape for name, shape in recipe.files.items() if name in recipe.goal}
    named = re.findall(r"(?<![\w/.])[\w-]+\.(?:csv|html|json|md|tsv|txt|xlsx)\b", recipe.goal)
    brief = Brief(recipe.goal, files=files, new_files=[name for name in named if name not in files])
    steps = lean_steps(recipe.script, replace(brief, names=list(recipe.files)), TOOLS)
    plan = Plan(recipe.goal, tuple(map(Step.model_validate, steps)))
    assert [str(fault) for fault in await lints(plan, brief, TOOLS)] == []


async def _gone(arguments: Mapping[str, JSON]) -> Sequence[str]:
    if arguments["path"] == "locked.db":
        raise ToolError("locked.db cannot be read.")
    return [f"there is no column {arguments['column']!r}. Known: a, b."] if arguments["column"] != "a" else []


LOOKED_AT = Registry([replace(stub("look", reads=True), doubted=_gone), *TOOLS])


def look(path: str, column: str) -> Call:
    return "look", {"path": path, "column": column}


async def test_what_a_look_at_the_world_says_against_a_call_is_told() -> None:
    said = await said_of("What is in t.csv?", [look("t.csv", "a"), look("t.csv", "c")], tools=LOOKED_AT)
    assert said == ["step 2: there is no column 'c'. Known: a, b. Mend the call of look"]


async def test_a_look_that_fails_tells_why() -> None:
    (said,) = await said_of("What is in locked.db?", [look("locked.db", "a")], tools=LOOKED_AT)
    assert said.startswith("step 1: locked.db cannot be read")


async def test_what_the_plan_itself_writes_first_is_not_looked_for() -> None:
    steps = [save("t.csv", "a,b\n1,2\n"), look("t.csv", "c")]
    assert await said_of("Put a,b and 1,2 into t.csv and look at it", steps, tools=LOOKED_AT) == []


async def test_of_a_plan_that_nobody_can_read_nothing_issaid_of() -> None:
    assert await said_of("Delete a.txt", [read("b.txt")] * 200) != []
    assert await said_of("Delete a.txt", [read("b.txt")] * 201) == []


async def test_a_result_that_an_open_argument_may_bring_in_is_used() -> None:
    steps = (
        Step(id=1, tool="read_file", arguments={"path": "a.txt"}),
        Step(id=2, tool="write_file", arguments={"path": "b.json", "content": "{{?}}"}, depends_on=(1,)),
    )
    assert await lints(Plan("Put what matters of a.txt into b.json", steps), Brief("Put what matters"), TOOLS) == []


@settings(max_examples=200, deadline=None)
@given(goal=st.text(alphabet="abd .,;:!?()'\"*/\n“”\u2019`-{}[]@", max_size=200))
def test_any_goal_can_be_read(goal: str) -> None:
    anyio.run(said_of, goal, [read("a.txt"), save("b.txt", "{{1}}")], "a.txt", "b.txt")
