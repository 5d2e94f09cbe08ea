-- Put on record what changes nothing else. args: records
put_records()
