#!/bin/bash
set -euo pipefail
usage='usage: spreadsheet.sh IN.csv OUTDIR'
input=$(readlink -f "${1:?$usage}")
out=${2:?$usage}
mkdir -p "$out"
out=$(readlink -f "$out")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

convert() {
    local from=$1 infilter=$2 target=$3 name=$4
    local extension=${target%%:*}
    rm -rf "$scratch/converted"
    soffice "-env:UserInstallation=file://$scratch/profile" --headless --norestore ${infilter:+"--infilter=$infilter"} \
        --convert-to "$target" --outdir "$scratch/converted" "$from" >"$scratch/log" 2>&1 || true
    local made=("$scratch/converted"/*."$extension")
    if [ ! -s "${made[0]}" ]; then
        echo "soffice wrote no $name from $from:" >&2
        cat "$scratch/log" >&2
        exit 1
    fi
    mv "${made[0]}" "$name"
    echo "$name"
}

csv='csv:Text - txt - csv (StarCalc)'
utf8=76
utf16=65535

convert "$input" "CSV:44,34,$utf8" "$csv:44,34,$utf8" "$out/resaved.csv"
convert "$input" "CSV:44,34,$utf8" "$csv:59,34,$utf8" "$out/semicolon.csv"
convert "$input" "CSV:44,34,$utf8" "$csv:9,34,$utf8" "$out/tab.csv"
convert "$input" "CSV:44,34,$utf8" "$csv:9,34,$utf16" "$out/utf16.csv"
convert "$input" "CSV:44,34,$utf8" "$csv:44,34,$utf8,1,,0,true" "$out/quoted.csv"
convert "$input" "CSV:44,34,$utf8,1,,1033,false,true" "$csv:44,34,$utf8" "$out/special_numbers.csv"
convert "$input" "CSV:44,34,$utf8,1,,1031,false,true" "$csv:59,34,$utf8" "$out/german.csv"
convert "$input" "CSV:44,34,$utf8" "xlsx:Calc MS Excel 2007 XML" "$scratch/book.xlsx" >/dev/null
convert "$scratch/book.xlsx" "" "$csv:59,34,$utf8" "$out/through_xlsx.csv"
convert "$input" "CSV:44,34,$utf8" "ods:calc8" "$scratch/book.ods" >/dev/null
convert "$scratch/book.ods" "" "$csv:44,34,$utf8" "$out/through_ods.csv"
