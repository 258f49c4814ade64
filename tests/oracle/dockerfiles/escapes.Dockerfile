# escape=`
# check=skip=all
FROM w
SHELL ["powershell", "-Command"]
RUN Write-Host "a `
  b"
WORKDIR C:\app\..\data
COPY a.txt b.txt C:/copied/
USER ContainerUser
COPY --chown=ContainerAdministrator d.txt .
RUN dir
