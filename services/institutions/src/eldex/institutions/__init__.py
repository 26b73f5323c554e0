"""Care institutions (养老、托育机构): filing, beds, admissions, grades, supervision, prices."""
