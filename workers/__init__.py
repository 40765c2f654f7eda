"""What happens unattended: jobs that take ids and call one operation, and the timetable."""
